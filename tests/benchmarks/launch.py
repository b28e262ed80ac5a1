"""Run one command and say what it took: `python -I -S launch.py PIPED COMMAND…`.

A program of its own, and a small one: a child's peak of resident memory begins with that of the
process that forks it. PIPED is a file that comes to the command through a pipe, or empty. Prints
wall-clock seconds, seconds of CPU, the peak in KiB and the exit status.
"""

import os
import sys
import time


def start(command: list[str], stdin: int, stdout: int, stderr: int) -> int:
    """The process id of a child that runs the command."""
    child = os.fork()
    if not child:
        for number, descriptor in enumerate((stdin, stdout, stderr)):
            os.dup2(descriptor, number)
        os.execvp(command[0], command)
    return child


def main() -> None:
    """Run it."""
    piped, command = sys.argv[1], sys.argv[2:]
    null = os.open(os.devnull, os.O_RDWR)
    begin = time.perf_counter()
    stdin, cat = null, 0
    if piped:
        stdin, end = os.pipe()
        cat = start(["cat", piped], null, end, null)
        os.close(end)
    child = start(command, stdin, null, 2)
    if piped:
        os.close(stdin)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begin
    if cat:
        os.waitpid(cat, 0)
    print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
