"""Bins and a prior give a posterior over the curve of one run.

- *From losses to columns*: `units` says where a series stands and what its unit is, `gap` how noisy few losses are,
  `observed` groups both series; `basis` has the law's clock and its terms, `design` puts all of it together.
- *From columns to a posterior*: `whiten` takes the wander out, `tables` are a prior's grids as arrays, `grid` weighs
  all shapes and solves some, `fitting` asks it for one run and `batch` for many. What comes out is a `posterior`.
- *What is believed beforehand*: a `prior`; `kinds` says what of it goes with the size, `believable` what a file may
  hold.
- *What else may tell of a run*: `apart`, validation's own law; `decades`, a law of the logarithm; `astray`, a law that
  stands off its losses; `past`, the run as it stood a while ago; `under_way`, the run as if a decay of which nobody
  tells had begun; `kinship`, its family's law.
- *What finished runs teach*: `teachers` finds those of like size, `lessons` is the pool, `misses` the process over what
  the law missed by, `likeness` how alike two forecasts are, `siblings` the process over whole curves (`paths`), and
  `scores` what each was worth.
"""
