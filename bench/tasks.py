# SPDX-License-Identifier: MIT
"""The section "tasks" of bench/run: kills, private memory, starting and entering."""
from pathlib import Path

from figures import cell, format_table, geometric_mean, make_goal, ratio

WORK = Path(__file__).resolve().parent / "work"
PROGRAMS = ["task_kill", "task_alloc", "task_touch", "task_start", "task_idle",
            "task_script"]
STATES = [("running", "running"), ("retrying", "retrying an allocation for ever"),
          ("mutex", "waiting for a bh_mutex"), ("read", "in read(2)"),
          ("idle", "idle: nobody inside")]
SHAPES = ["pair", "lifo", "fifo", "random", "larson", "medium", "large"]
# Every small object, and what the design calls private alloc/free.
SMALL = ["pair", "lifo", "fifo", "random", "larson"]
IDLE_BYTES = [0, 1024, 16384]
SCRIPTS = [("lua", "Lua 5.4", "trees.lua", 30), ("js", "Duktape", "trees.js", 100)]
PAGEFAULTS = [("", {}), (" mprotect", {"BULKHEAD_PAGEFAULT": "mprotect"})]


def jobs(percent):
    """(label of the result, program, arguments, variables) of each."""
    found = []
    for name in ("kill", "touch"):
        for backend, variables in PAGEFAULTS:
            found.append((name + backend, "task_" + name, [str(percent)], variables))
    found.append(("alloc", "task_alloc", [str(percent)], {}))
    found.append(("start", "task_start", [str(percent)], {}))
    for size in IDLE_BYTES:
        found.append((f"idle {size}", "task_idle", [str(size), str(percent)], {}))
    for name, _, script, share in SCRIPTS:
        work = str(max(1, percent * share // 100))
        found.append((name, "task_script", [str(WORK / script), work], {}))
    return found


def backend_name(tasks, label):
    if "mprotect" in label:
        return "mprotect"
    return "userfaultfd" if (tasks.get(label) or {}).get("uffd") else "default"


def milliseconds(value):
    return None if value is None else value / 1e6


# --------------------------------------------------------------------- goals

def kill_goal(tasks, label):
    figures = tasks.get(label) or {}
    tails = {text: figures.get(state + "_p99") for state, text in STATES}
    what = f"kill to bytes back, 16 MiB, {backend_name(tasks, label)}: worst p99"
    peer = milliseconds(figures.get("madvise_p99"))
    if peer is None or None in tails.values():
        return make_goal(what, None, 0, "ms")
    worst = max(tails, key=tails.get)
    return make_goal(f"{what} ({worst})", milliseconds(tails[worst]), 1.2 * peer + 1, "ms")


def shape_ratios(tasks, peer):
    figures = tasks.get("alloc") or {}
    return {shape: ratio(figures.get(shape + "_bulkhead"), figures.get(f"{shape}_{peer}"))
            for shape in SHAPES}


def goals(tasks):
    """The rows of the design's table that these programs measure."""
    made = [kill_goal(tasks, "kill" + backend) for backend, _ in PAGEFAULTS]
    ratios = shape_ratios(tasks, "mimalloc")
    made.append(make_goal(
        "private alloc/free up to 1 KiB, CPU time against mimalloc: geometric mean of "
        f"{len(SMALL)} shapes", geometric_mean([ratios[shape] for shape in SMALL]), 1.0))
    made.append(make_goal(
        f"the same with larger objects: geometric mean of {len(SHAPES)} shapes",
        geometric_mean(list(ratios.values())), 1.0))
    for backend, _ in PAGEFAULTS:
        label = "touch" + backend
        figures = tasks.get(label) or {}
        made.append(make_goal(
            f"first touch of a map, {backend_name(tasks, label)}, against the kernel's own",
            ratio(figures.get("order_map"), figures.get("order_kernel")), 0.7))
    start = tasks.get("start") or {}
    made.append(make_goal("task create, run empty, free, warm",
                          start.get("run"), 2000, "ns"))
    made.append(make_goal("entering an idle task", start.get("enter"), 100, "ns"))
    for size in IDLE_BYTES:
        figures = tasks.get(f"idle {size}") or {}
        made.append(make_goal(
            f"{figures.get('tasks', 0):,.0f} idle tasks that allocated {size:,} bytes: "
            "resident memory a task beyond that", figures.get("resident"), 8192, "bytes"))
    for name, text, _, _ in SCRIPTS:
        figures = tasks.get(name) or {}
        made.append(make_goal(f"{text} in a task, CPU time against malloc of glibc",
                              ratio(figures.get("task"), figures.get("glibc")), 1.0))
    return made


# ------------------------------------------------------------------ the text

def format_kill(tasks):
    rows = []
    for backend, _ in PAGEFAULTS:
        label = "kill" + backend
        figures = tasks.get(label) or {}
        ways = [(state, "victim " + text) for state, text in STATES]
        peers = [("madvise", "madvise(MADV_DONTNEED) alone"),
                 ("madvise_other", "madvise of what another thread touched")]
        for name, text in ways + peers:
            values = [figures.get(f"{name}_{q}") for q in ("p50", "p99", "max")]
            rows.append([f"{backend_name(tasks, label)}: {text}",
                         *[cell(milliseconds(value)) for value in values],
                         cell(ratio(values[0], figures.get("madvise_other_p50"))),
                         cell(ratio(values[1], figures.get("madvise_p99")))])
    return format_table(["16 MiB: kill to bytes back", "median ms", "p99 ms", "worst ms",
                         "median / another's", "p99 / madvise's"], rows)


def format_alloc(tasks):
    figures = tasks.get("alloc") or {}
    against = {peer: shape_ratios(tasks, peer) for peer in ("mimalloc", "glibc")}
    rows = [[shape, *[cell(figures.get(f"{shape}_{name}"), "{:.1f}")
                      for name in ("bulkhead", "mimalloc", "glibc")],
             cell(against["mimalloc"][shape]), cell(against["glibc"][shape])]
            for shape in SHAPES]
    means = [cell(geometric_mean(list(against[peer].values())))
             for peer in ("mimalloc", "glibc")]
    rows.append(["**geometric mean**", "", "", "", *means])
    return format_table(["ns of CPU for alloc and free", "bh_malloc", "mimalloc", "glibc",
                         "/ mimalloc", "/ glibc"], rows)


def format_touch(tasks):
    rows = []
    for backend, _ in PAGEFAULTS:
        label = "touch" + backend
        figures = tasks.get(label) or {}
        for order, text in (("order", "in order"), ("random", "at random")):
            ours, kernel = figures.get(order + "_map"), figures.get(order + "_kernel")
            rows.append([f"{backend_name(tasks, label)}, {text}", cell(ours, "{:.0f}"),
                         cell(kernel, "{:.0f}"), cell(ratio(ours, kernel))])
    return format_table(["ns a page, 64 MiB", "bh_map", "kernel", "bh_map / kernel"], rows)


def format_start(tasks):
    figures = tasks.get("start") or {}
    rows = []
    for name, text in (
            ("run", "task: new, enter, put"), ("run_malloc", "the same with a bh_malloc"),
            ("enter", "enter of an idle task"),
            ("enter_malloc", "the same with bh_malloc and bh_free"),
            ("thread", "pthread_create and pthread_join"),
            ("fork", "fork, _exit and waitpid")):
        value = figures.get(name)
        rows.append([text, cell(value, "{:.0f}"),
                     cell(ratio(value, figures.get("thread")), "{:.4f}"),
                     cell(ratio(value, figures.get("fork")), "{:.4f}")])
    return format_table(["an empty function", "ns", "/ thread", "/ fork"], rows)


def format_idle(tasks):
    rows = []
    for size in IDLE_BYTES:
        figures = tasks.get(f"idle {size}") or {}
        rows.append([f"{figures.get('tasks', 0):,.0f} tasks, {size:,} bytes each",
                     *[cell(figures.get(name), "{:.0f}")
                       for name in ("resident", "tables", "enter", "again")]])
    return format_table(["idle tasks", "resident bytes beyond", "page table bytes",
                         "ns to enter, at random", "the same one"], rows)


def format_scripts(tasks):
    rows = []
    for name, text, script, _ in SCRIPTS:
        figures = tasks.get(name) or {}
        rows.append([f"{text}, {script}",
                     *[cell(figures.get(memory), "{:.1f}")
                       for memory in ("task", "glibc", "mimalloc")],
                     cell(ratio(figures.get("task"), figures.get("glibc"))),
                     cell(ratio(figures.get("task"), figures.get("mimalloc")))])
    return format_table(["ms of CPU", "in a task", "glibc", "mimalloc", "/ glibc",
                         "/ mimalloc"], rows)


def format_section(tasks):
    return "\n\n".join([
        format_kill(tasks), format_alloc(tasks), format_touch(tasks), format_start(tasks),
        format_idle(tasks), format_scripts(tasks)])
