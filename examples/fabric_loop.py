"""A loop in Lightning Fabric, watched by curvecast in four lines, on one device or several.

python examples/fabric_loop.py --devices 2
"""

from __future__ import annotations

import click
import torch
from lightning_fabric import Fabric
from lightning_gpt import LitGPT, Sources

import curvecast


@click.command(help=__doc__)
@click.option("--steps", default=1000, show_default=True, type=click.IntRange(min=100))
@click.option("--devices", default=1, show_default=True)
def main(steps: int, devices: int) -> None:
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=devices)
    fabric.launch()
    fabric.seed_everything(fabric.global_rank, verbose=False)
    gpt = LitGPT(steps=steps)
    data = Sources(steps=steps, seed=fabric.global_rank, train_bytes=None, val_batches=20)
    optimizer = torch.optim.AdamW(gpt.model.parameters(), lr=gpt.lr, betas=(0.9, 0.99), weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, gpt.relative_lr)

    schedule = curvecast.Schedule.from_torch(scheduler, steps=steps)
    watcher = curvecast.Watcher(schedule=schedule)

    model, optimizer = fabric.setup(gpt, optimizer)
    model.mark_forward_method("loss")
    for step, batch in enumerate(fabric.setup_dataloaders(data.train_dataloader()), start=1):
        loss = model.loss(batch)
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        if step % (steps // 100) == 0:  # all ranks meet here, and their watchers see the same
            verdict = watcher.update(step, train_loss=float(torch.as_tensor(fabric.all_reduce(loss.detach()))))
            if step % (steps // 100 * 25) == 0:
                fabric.print(verdict.message)


if __name__ == "__main__":
    main()
