# SPDX-License-Identifier: MIT
"""The section "check" of bench/run: `bulkhead check` against the exhaustive loop of failed
calls and against libfiu's failures by chance, on programs of Debian.

A *place* is where the program dies, as the first frame of the stack that is not in the C
library; or, where it ends as it should with another output, that frame of the call that
failed. All three ways say a place in these words, so that their sets can be compared.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from figures import cell, format_table, make_goal, ratio

TESTS = [
    ("jq", ["jq", ".", "values.json"]),
    ("sqlite3", ["sqlite3", ":memory:",
                 "create table t(a integer primary key, b text); insert into t values"
                 "(1,'x'),(2,'y'); create index i on t(b); select count(*), max(b), "
                 "json_group_array(a) from t group by b order by 1; with recursive c(n) as "
                 "(select 1 union all select n+1 from c where n<20) select sum(n) from c;"]),
    ("lua5.4", ["lua5.4", "script.lua"]),
    ("sed", ["sed", "-n", "-e", r"s/line \(a\|b\)/L\1/p", "lines.txt"]),
]
PROGRAMS = ["fail_loop", "check_cost"]
LIBRARIES = ["libbench_fail_nth.so", "libbench_crash_site.so"]
FIU = [Path("/usr/lib/fiu/fiu_run_preload.so"), Path("/usr/lib/fiu/fiu_posix_preload.so")]
FIU_POINTS = ["libc/mm/malloc", "libc/mm/calloc", "libc/mm/realloc"]
# The loop of jq alone is eight thousand runs.
MAX_ROUNDS = 3
COST_RUNS = 41
BELOW = re.compile(r"libc\.so|ld-linux")
DEADLY = ("memory-corruption", "crash", "reporter-crash", "policy-abort")

SCRIPT = """\
local t = {}
for i = 1, 50 do t[i] = ("s"):rep(i % 5) .. i end
print(#t, table.concat(t, ","):sub(1, 40))
print(pcall(error, "x"))
local co = coroutine.wrap(function(a) for i = 1, 3 do coroutine.yield(a .. i) end end)
print(co("y"), co(), co())
"""
VALUES = {"name": "x", "numbers": [1, 2.5, -3], "nested": {"a": {"b": ["c", None, True]}},
          "text": "café", "empty": {}}


def write_inputs(folder):
    (folder / "values.json").write_text(json.dumps(VALUES))
    (folder / "script.lua").write_text(SCRIPT)
    (folder / "lines.txt").write_text(
        "".join(f"{i:03} line {'abcdefg'[i % 7]}\n" for i in range(200)))


def environment(folder):
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
            "HOME": str(folder), "TMPDIR": str(folder)}


class Failure(Exception):
    """A program that did not do what it should."""


def run(command, folder, good=(0,)):
    result = subprocess.run([str(word) for word in command], cwd=folder,
                            env=environment(folder), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            check=False)
    if result.returncode not in good:
        raise Failure(f"exit status {result.returncode} {result.stderr.strip()[-300:]}")
    return result.stdout


# ------------------------------------------------------------------- one way

def places_of(report):
    """The places in a JSON report of check."""
    names = [module["name"] for module in report["modules"]]
    frames = {stack["hash"]: stack["frames"] for stack in report["stacks"]}

    def outside(trace):
        for index in trace:
            place = report["places"][index]
            name = names[place["module"]] or ""
            if name and not BELOW.match(name):
                return f"{name}+{place['offset']:#x}"
        return "?"

    found = set()
    for test in report["tests"]:
        if test["class"] in DEADLY and (test["signal"] or test["status"] > 128):
            found.add("dies " + outside(test["crash"]))
        elif test["class"] == "wrong-output-silent":
            found.add("wrong " + outside(test.get("injected") or frames[test["stack"]]))
    return found


def run_check(build, command, folder, percent, *options):
    report = folder / "report.json"
    share = [] if percent == 100 else ["--shard", f"1/{max(1, 100 // percent)}"]
    began = time.monotonic()
    run([build.parent / "tool" / "bulkhead", "check", "-q", "--fresh",
         "--state", folder / "state", f"--json={report}", *options, *share, "--",
         *command],
        folder, good=(0, 1))
    seconds = time.monotonic() - began
    data = json.loads(report.read_text())
    return {"seconds": seconds, "runs": data["session"]["runs"],
            "calls": data["session"]["calls"], "places": places_of(data)}


def run_loops(command_lines, folder):
    """Several of fail_loop at once, as one: {place: when it was found first}."""
    began = time.monotonic()
    processes = [subprocess.Popen([str(word) for word in line], cwd=folder,
                                  env=environment(folder), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
                 for line in command_lines]
    outputs = [process.communicate() for process in processes]
    seconds = time.monotonic() - began
    places, runs = {}, 0
    for process, (output, errors) in zip(processes, outputs):
        if process.returncode:
            raise Failure(f"fail_loop: {errors.strip()[-300:]}")
        for line in output.splitlines():
            when, what, where = line.split(" ", 2)
            if what == "end":
                runs += int(where)
            else:
                place = f"{what} {where}"
                places[place] = min(places.get(place, float("inf")), float(when))
    return {"seconds": seconds, "runs": runs, "places": set(places), "when": places}


def run_nth(build, command, folder, percent):
    jobs = os.cpu_count() or 1
    step = jobs * max(1, 100 // percent)
    return run_loops([[build / "fail_loop", "nth", 1 + i, step,
                       f"LD_PRELOAD={build / LIBRARIES[0]}", *command]
                      for i in range(jobs)], folder)


def run_fiu(build, command, folder, limit, calls):
    """As long as check took: one failure a run on average."""
    enable = "\n".join(f"enable_random name={point},probability={1 / calls:.9f}"
                       for point in FIU_POINTS)
    preload = ":".join(map(str, [*FIU, build / LIBRARIES[1]]))
    return run_loops([[build / "fail_loop", "random", f"{limit:.3f}", "-",
                       f"LD_PRELOAD={preload}", f"FIU_ENABLE={enable}", *command]
                      for _ in range(os.cpu_count() or 1)], folder)


# -------------------------------------------------------------------- rounds

def measure_cost(build, command, folder):
    words = run([build / "check_cost", COST_RUNS, *command], folder).split()
    return {name: float(value) for name, value in zip(words[::2], words[1::2])}


def measure_round(build, command, folder, percent):
    check = run_check(build, command, folder, percent)
    loop = run_nth(build, command, folder, percent)
    fast = run_check(build, command, folder, percent, "--fast")
    fiu = run_fiu(build, command, folder, check["seconds"], check["calls"])
    shared = [when for place, when in loop["when"].items() if place in check["places"]]
    # libfiu does not tell which call failed.
    deadly = {place for place in check["places"] | loop["places"]
              if place.startswith("dies")}
    return {
        "calls": check["calls"],
        "check_seconds": check["seconds"], "check_runs": check["runs"],
        "check_places": len(check["places"]),
        "fast_seconds": fast["seconds"], "fast_places": len(fast["places"]),
        "loop_seconds": loop["seconds"], "loop_runs": loop["runs"],
        "loop_places": len(loop["places"]), "loop_last": max(shared, default=0),
        "missed": len(loop["places"] - check["places"]),
        "more": len(check["places"] - loop["places"]),
        "deadly": len(deadly),
        "fiu_runs": fiu["runs"], "fiu_places": len(deadly & fiu["places"]),
        "missed_places": sorted(loop["places"] - check["places"]),
    }


def measure(build, rounds, percent, progress, problems):
    """{program: {figure: median}}."""
    results = {}
    rounds = min(rounds, MAX_ROUNDS)
    for name, command in TESTS:
        samples = []
        with tempfile.TemporaryDirectory(prefix="bench-check-") as text:
            folder = Path(text)
            write_inputs(folder)
            try:
                cost = measure_cost(build, command, folder)
                for turn in range(rounds):
                    samples.append(measure_round(build, command, folder, percent))
                    progress.step(f"check {name:19} round {turn + 1} of {rounds}")
            except Failure as failure:
                problems.append(f"check {name}: {failure}")
                progress.step(f"check {name}: FAILED: {failure}")
                continue
        results[name] = {key: statistics.median(sample[key] for sample in samples)
                         for key in samples[0] if key != "missed_places"}
        results[name].update(cost)
        results[name]["missed_places"] = samples[-1]["missed_places"]
    return results


def steps(rounds):
    return len(TESTS) * min(rounds, MAX_ROUNDS)


def find_missing(build):
    missing = [f"{command[0]} is not installed" for _, command in TESTS
               if not shutil.which(command[0])]
    missing += [f"{name} is not built in {build.parent.name}/bench"
                for name in LIBRARIES if not (build / name).exists()]
    missing += [f"{path} is not there (package libfiu-dev)" for path in FIU
                if not path.exists()]
    return missing


# ------------------------------------------------------------------ the text

def goals(results):
    made = []
    for way, option in (("check", "check"), ("fast", "check --fast")):
        for name, _ in TESTS:
            figures = results.get(name) or {}
            made.append(make_goal(
                f"{option} of {name}: time against the exhaustive loop",
                ratio(figures.get(way + "_seconds"), figures.get("loop_seconds")), 0.2))
    for name, _ in TESTS:
        figures = results.get(name) or {}
        # Below a millisecond it is the loader that is measured.
        if (figures.get("without") or 0) >= 1e6:
            made.append(make_goal(f"a run of {name} with the interposer, CPU time",
                                  ratio(figures.get("with"), figures.get("without")), 1.15))
    return made


def format_section(results):
    rows, costs = [], []
    for name, _ in TESTS:
        figures = results.get(name) or {}

        def number(key, form="{:.0f}", figures=figures):
            return cell(figures.get(key), form)

        rows.append([name, number("calls"),
                     f"{number('check_runs')} in {number('check_seconds', '{:.1f}')} s",
                     number("fast_seconds", "{:.1f} s"),
                     f"{number('loop_runs')} in {number('loop_seconds', '{:.1f}')} s",
                     *[cell(ratio(figures.get("loop_seconds"), figures.get(way)),
                            "{:.1f} ×") for way in ("check_seconds", "fast_seconds")],
                     number("loop_last", "{:.1f} s"),
                     number("check_places"), number("fast_places"), number("loop_places"),
                     number("missed"), number("more"),
                     f"{number('fiu_places')} of {number('deadly')} in "
                     f"{number('fiu_runs')} runs"])
        costs.append([name, cell((figures.get("without") or 0) / 1e6),
                      cell((figures.get("with") or 0) / 1e6),
                      cell(ratio(figures.get("with"), figures.get("without")))])
    text = format_table(
        ["program", "calls", "check: runs", "--fast", "loop: runs", "loop / check",
         "loop / --fast", "its last of these after", "check's places", "--fast's", "loop's",
         "only the loop's", "only check's", "libfiu, time of check: places to die"], rows)
    return text + "\n\n" + format_table(
        ["ms of CPU for a run without a failure", "alone", "with the interposer", "ratio"],
        costs)
