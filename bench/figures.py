# SPDX-License-Identifier: MIT
"""What is computed from samples, and tables of it."""
import math
import statistics


def ratio(above, below):
    return above / below if above is not None and below else None


def geometric_mean(values):
    """None if one is missing: a mean over fewer workloads is another figure."""
    if not values or any(value is None or value <= 0 for value in values):
        return None
    return math.exp(statistics.fmean(math.log(value) for value in values))


def make_goal(what, value, limit, unit="×"):
    if value is None:
        verdict = "not measured"
    elif value <= limit:
        verdict = "met"
    elif unit in ("ns", "bytes"):
        verdict = f"missed by {value - limit:.0f} {unit}"
    else:
        verdict = f"missed by {value - limit:.2f} {unit}"
    return {"what": what, "value": value, "limit": limit, "unit": unit, "verdict": verdict}


def cell(value, form="{:.2f}"):
    return "–" if value is None else form.format(value)


def format_table(head, rows):
    """Markdown that also reads well as text: first column left, the others right."""
    rows = [head] + [[str(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [value.rjust(width) for value, width in zip(row[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def format_goals(goals):
    rows = []
    for goal in goals:
        whole = goal["unit"] in ("ns", "bytes")
        value = cell(goal["value"], "{:.0f} " if whole else "{:.3f} ")
        limit = f"{goal['limit']:.0f}" if whole else f"{goal['limit']:.2f}"
        rows.append([goal["what"],
                     value if goal["value"] is None else value + goal["unit"],
                     f"≤ {limit} {goal['unit']}", goal["verdict"]])
    return format_table(["what", "measured", "goal", ""], rows)
