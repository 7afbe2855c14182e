"""A cluster of Dask workers, each a process of its own, that each run one task; and its times.

Run by the measured interpreter: cluster.py WORKERS DIRECTORY. Prints JSON: when every worker was
there and when every task was done, by perf_counter, which on Linux is one clock for all processes;
what the tasks answered; and in how many of their processes fastpath was installed. For measure.py.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter

from distributed import Client, LocalCluster


def task(number: int) -> tuple[int, int, bool]:
    """Work that needs a package: its answer, the process, and whether that has fastpath."""
    import os

    import pandas as pd

    native = sys.modules.get("fastpath._native")
    total = int(pd.Series(range(number + 1)).sum())
    return total, os.getpid(), native is not None and native.is_installed()


def main() -> None:
    """Start, wait for all, run, tell."""
    workers, directory = int(sys.argv[1]), sys.argv[2]
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=directory,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        up = perf_counter()
        addresses = client.scheduler_info(n_workers=-1)["workers"]
        # One for each worker: left to itself, the scheduler gives several to who is there first.
        tasks = [
            client.submit(task, number, workers=[address], pure=False)
            for number, address in enumerate(addresses)
        ]
        answers = client.gather(tasks)
        ran = perf_counter()
    totals, processes, with_fastpath = zip(*answers, strict=True)
    told = {
        "up": up,
        "ran": ran,
        "totals": totals,
        "processes": len(set(processes)),
        "fastpath": sum(with_fastpath),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
