#!/usr/bin/env python3
"""Grades submissions: each script runs in a fresh process of the sandbox, with limits, and gets a verdict.

    grade.py python.wasm EXPECTED SUBMISSION...

    right      it printed what EXPECTED has
    wrong      it printed something else
    error      it ended with another status than 0
    memory     the same, after it was refused memory
    time, output, killed
               it was ended, for that limit or otherwise

`procbox map --json` has all that it takes: a line for each submission, with what it printed, its status, and
what it used.
"""

import json
import subprocess
import sys

MEMORY = 128 << 20
LIMITS = ["--cpu", "1s", "--task-timeout", "5s", "--memory", str(MEMORY), "--max-output", "64K"]


def verdict(run, expected):
    error = run.get("error", "")
    if "CPU time" in error or "wall-clock time" in error:
        return "time"
    if "output" in error:
        return "output"
    if run["signal"]:
        return "killed"
    if run["exit"]:
        return "memory" if run.get("peak_memory", 0) > MEMORY * 0.9 else "error"
    return "right" if run["stdout"].split() == expected.split() else "wrong"


def main(program, expected, *submissions):
    with open(expected, encoding="utf-8") as file:
        expected = file.read()
    command = ["procbox", "map", "--quiet", "--json", *LIMITS, program, *submissions]
    # Its status is 1 if any submission fails: that is not the grader's failure.
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    runs = [json.loads(line) for line in ran.stdout.splitlines()]
    if len(runs) != len(submissions):
        sys.exit(f"grade.py: {len(runs)} of {len(submissions)} submissions were run")
    for run in runs:
        used = f"{run.get('cpu_seconds', 0) * 1000:7.1f} ms {run.get('peak_memory', 0) / 2**20:6.1f} MiB"
        print(f"{verdict(run, expected):7} {used}  {run['input']}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
