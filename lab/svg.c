/* SPDX-License-Identifier: MIT */
/*
 * The axis is not linear: events keep a distance from each other that can be seen, and a
 * long wait takes no more room than a short one.
 *
 * A lane, from above: what the task does (a bar), the locks that it holds (a bar each),
 * and its private memory (an area, all lanes to one scale).
 */
#include "svg.h"

#include <string.h>

#include "print.h"

#define LEFT       110
#define TOP        84
#define GAP_MAX    40
#define NS_A_PIXEL 100
#define BAR        14
#define LOCK_BAR   9
#define MEMORY     30
#define RIGHT      30

enum doing {
	OUTSIDE,
	RUNNING,
	WAITING_LOCK,
	WAITING_MEMORY,
	WAITING_EVENT,
};

struct picture {
	struct bhi_out *out;
	const struct bhi_lab_scenario *scenario;
	const struct bhi_lab_outcome *outcome;
	unsigned x[BHI_LAB_EVENTS_MAX];
	unsigned end; /* of the axis */
	unsigned lane;
	uint64_t most; /* bytes of the task that has most */
};

static const char *const colours[] = {
	[OUTSIDE] = "none",
	[RUNNING] = "#7fb2e5",
	[WAITING_LOCK] = "#f0a03c",
	[WAITING_MEMORY] = "#d9534f",
	[WAITING_EVENT] = "#c8c8c8",
};

static const char *const lock_colours[] = {"#5b3c88", "#2a7f62", "#8a6d1d", "#99335d"};

static void put_text(struct bhi_out *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			bhi_outf(out, "&lt;");
		else if (*text == '&')
			bhi_outf(out, "&amp;");
		else
			bhi_outf(out, "%c", *text);
	}
}

static void put_label(struct picture *picture, unsigned x, unsigned y, const char *class,
	const char *text)
{
	bhi_outf(picture->out, "<text class=\"%s\" x=\"%u\" y=\"%u\">", class, x, y);
	put_text(picture->out, text);
	bhi_outf(picture->out, "</text>\n");
}

static void put_bar(struct picture *picture, unsigned from, unsigned to, unsigned y,
	unsigned height, const char *colour, const char *title)
{
	if (to <= from)
		return;
	bhi_outf(picture->out,
		"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"%s\"><title>",
		from, y, to - from, height, colour);
	put_text(picture->out, title);
	bhi_outf(picture->out, "</title></rect>\n");
}

static const char *mark_of(const struct bhi_lab_event *event)
{
	switch (event->kind) {
	case BHI_LAB_EV_KILLED:
		return "killed";
	case BHI_LAB_EV_REAPED:
		return "reaped";
	case BHI_LAB_EV_GIVEN_UP:
		return "given up";
	case BHI_LAB_EV_END:
		return event->value == BHI_LAB_ENDED_ERROR    ? "error"
		       : event->value == BHI_LAB_ENDED_KILLED ? "unwound"
							      : "ends";
	default:
		return NULL;
	}
}

/* Whether an event is not just another round of a loop. */
static bool is_new_step(const struct bhi_lab_outcome *outcome, unsigned number)
{
	const struct bhi_lab_event *event = &outcome->events[number];

	if (event->kind != BHI_LAB_EV_STEP && event->kind != BHI_LAB_EV_STEP_DONE)
		return true;
	for (unsigned i = number; i-- > 0;) {
		const struct bhi_lab_event *before = &outcome->events[i];

		if (before->task == event->task && before->step == event->step &&
			before->kind == event->kind)
			return false;
	}
	return true;
}

static void lay_out(struct picture *picture)
{
	const struct bhi_lab_outcome *outcome = picture->outcome;
	unsigned x = LEFT;

	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];
		uint64_t passed = i ? event->time_ns - (event - 1)->time_ns : 0;

		/* Rounds of a loop are many, and alike. */
		if (!is_new_step(outcome, i))
			passed = bhi_min(passed, (uint64_t)NS_A_PIXEL);
		x += (unsigned)bhi_min(passed / NS_A_PIXEL, (uint64_t)GAP_MAX);
		/* Room for its word. */
		if (i && mark_of(event - 1))
			x += GAP_MAX;
		picture->x[i] = x;
		if (event->kind == BHI_LAB_EV_MEMORY)
			picture->most = bhi_max(picture->most, event->value);
	}
	picture->end = x + GAP_MAX;
	picture->lane =
		22 + BAR + picture->scenario->nr_locks * (LOCK_BAR + 2) + MEMORY + 14;
}

static enum doing waiting_for(const struct bhi_lab_step *step)
{
	switch (step->op) {
	case BHI_LAB_LOCK:
	case BHI_LAB_RDLOCK:
	case BHI_LAB_TRYLOCK:
		return WAITING_LOCK;
	case BHI_LAB_WAIT:
	case BHI_LAB_BLOCK:
	case BHI_LAB_IDLE:
		return WAITING_EVENT;
	default:
		return WAITING_MEMORY;
	}
}

static enum doing after(
	const struct picture *picture, const struct bhi_lab_event *event, enum doing now)
{
	const struct bhi_lab_task *task = &picture->scenario->tasks[event->task];

	switch (event->kind) {
	case BHI_LAB_EV_ENTER:
	case BHI_LAB_EV_STEP:
	case BHI_LAB_EV_STEP_DONE:
		return RUNNING;
	case BHI_LAB_EV_SLEEP:
		return waiting_for(&task->steps[event->step]);
	case BHI_LAB_EV_END:
		return OUTSIDE;
	default:
		return now;
	}
}

static void draw_states(struct picture *picture, unsigned task, unsigned y)
{
	const struct bhi_lab_outcome *outcome = picture->outcome;
	enum doing doing = OUTSIDE;
	unsigned from = 0;
	char text[96] = "";

	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];
		enum doing next;

		if (event->task != (int)task)
			continue;
		next = after(picture, event, doing);
		if (next == doing && event->kind != BHI_LAB_EV_STEP)
			continue;
		if (doing != OUTSIDE)
			put_bar(picture, from, picture->x[i], y, BAR, colours[doing],
				text);
		doing = next;
		from = picture->x[i];
		bhi_lab_step_text(
			picture->scenario, (int)task, event->step, text, sizeof(text));
		if (event->kind == BHI_LAB_EV_SLEEP)
			put_label(picture, from, y - 4, "step", text);
	}
	if (doing != OUTSIDE)
		put_bar(picture, from, picture->end, y, BAR, colours[doing], text);
}

static void put_lock(
	struct picture *picture, unsigned from, unsigned to, unsigned y, unsigned lock)
{
	const char *name = picture->scenario->locks[lock].name;

	put_bar(picture, from, to, y, LOCK_BAR,
		lock_colours[lock % bhi_array_size(lock_colours)], name);
	if (to > from + 7 * strlen(name))
		put_label(picture, from + 2, y + LOCK_BAR - 1, "lock", name);
}

static void draw_lock(struct picture *picture, unsigned task, unsigned lock, unsigned y)
{
	const struct bhi_lab_outcome *outcome = picture->outcome;
	unsigned from = 0;

	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];

		if (event->task != (int)task)
			continue;
		if (event->kind == BHI_LAB_EV_LOCKED && event->value == lock) {
			from = picture->x[i];
		} else if (from && (event->kind == BHI_LAB_EV_END ||
					   (event->kind == BHI_LAB_EV_UNLOCKED &&
						   event->value == lock))) {
			put_lock(picture, from, picture->x[i], y, lock);
			from = 0;
		}
	}
	if (from)
		put_lock(picture, from, picture->end, y, lock);
}

static unsigned height_of(const struct picture *picture, uint64_t bytes)
{
	return picture->most ? (unsigned)(bytes * MEMORY / picture->most) : 0;
}

static void draw_memory(struct picture *picture, unsigned task, unsigned floor)
{
	const struct bhi_lab_outcome *outcome = picture->outcome;
	unsigned height = 0;

	bhi_outf(picture->out, "<path class=\"memory\" d=\"M%d,%u", LEFT, floor);
	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];

		if (event->task != (int)task || event->kind != BHI_LAB_EV_MEMORY)
			continue;
		bhi_outf(picture->out, " L%u,%u", picture->x[i], floor - height);
		height = height_of(picture, event->value);
		bhi_outf(picture->out, " L%u,%u", picture->x[i], floor - height);
	}
	bhi_outf(picture->out, " L%u,%u L%u,%u Z\"/>\n", picture->end, floor - height,
		picture->end, floor);
}

static void draw_marks(struct picture *picture, unsigned task, unsigned y)
{
	const struct bhi_lab_outcome *outcome = picture->outcome;

	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];
		const char *mark = mark_of(event);

		if (event->task != (int)task || !mark)
			continue;
		bhi_outf(picture->out,
			"<line class=\"mark\" x1=\"%u\" y1=\"%u\" x2=\"%u\" "
			"y2=\"%u\"/>\n",
			picture->x[i], y, picture->x[i], y + BAR + 4);
		put_label(picture, picture->x[i] + 2, y + BAR + 3, "mark", mark);
	}
}

static void draw_lane(struct picture *picture, unsigned task)
{
	unsigned y = TOP + task * picture->lane, row;

	put_label(picture, 8, y + BAR - 2, "name", picture->scenario->tasks[task].name);
	bhi_outf(picture->out,
		"<line class=\"floor\" x1=\"8\" y1=\"%u\" x2=\"%u\" y2=\"%u\"/>\n",
		y + picture->lane - 18, picture->end, y + picture->lane - 18);
	draw_memory(picture, task, y + picture->lane - 18);
	row = y + BAR + 6;
	for (unsigned i = 0; i < picture->scenario->nr_locks; i++)
		draw_lock(picture, task, i, row + i * (LOCK_BAR + 2));
	draw_states(picture, task, y);
	draw_marks(picture, task, y);
}

static void draw_legend(struct picture *picture)
{
	static const char *const names[] = {
		[RUNNING] = "runs",
		[WAITING_LOCK] = "waits for a lock",
		[WAITING_MEMORY] = "waits for memory",
		[WAITING_EVENT] = "waits for an event",
	};
	unsigned x = LEFT;

	for (unsigned i = RUNNING; i <= WAITING_EVENT; i++) {
		put_bar(picture, x, x + 12, 46, 10, colours[i], names[i]);
		put_label(picture, x + 16, 55, "legend", names[i]);
		x += 128;
	}
	put_label(picture, x, 55, "legend",
		"below: locks held, private memory; time is not to scale");
}

static void put_head(struct picture *picture, int era, unsigned height)
{
	char text[256];
	unsigned width = bhi_max(picture->end + RIGHT, 940u);

	bhi_outf(picture->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"11\">\n",
		width, height, width, height);
	bhi_outf(picture->out,
		"<style>.head{font-size:15px;font-weight:bold}.name{font-weight:bold}"
		".step{font-size:9px;fill:#555}.lock{font-size:8px;fill:#fff}"
		".mark{font-size:9px;fill:#111;stroke:none}line.mark{stroke:#111}"
		".legend{fill:#444}.why{fill:#a02020}.floor{stroke:#ddd}"
		".memory{fill:#cfe3cf;stroke:#6a9a6a}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
	put_label(picture, 8, 22, "head", picture->scenario->title);
	bhi_format(text, sizeof(text), "rules of %s (%s)", bhi_lab_eras[era].name,
		bhi_lab_eras[era].rules);
	put_label(picture, 8, 38, "legend", text);
}

void bhi_lab_svg(struct bhi_out *out, const struct bhi_lab_scenario *scenario, int era,
	const struct bhi_lab_outcome *outcome)
{
	static struct picture picture;
	unsigned y;
	char text[256];

	picture = (struct picture){.out = out, .scenario = scenario, .outcome = outcome};
	lay_out(&picture);
	y = TOP + scenario->nr_tasks * picture.lane;
	put_head(&picture, era, y + 24 + 16 * (outcome->nr_sentences + 1));
	draw_legend(&picture);
	for (unsigned i = 0; i < scenario->nr_tasks; i++)
		draw_lane(&picture, i);
	put_label(&picture, 8, y, "head",
		bhi_lab_outcome_text(scenario, outcome, text, sizeof(text)));
	for (unsigned i = 0; i < outcome->nr_sentences; i++)
		put_label(&picture, 8, y + 18 + i * 16, "why", outcome->sentences[i]);
	bhi_outf(out, "</svg>\n");
}
