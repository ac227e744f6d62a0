/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "metrics.h"

unsigned answer_status(const struct request *request)
{
	switch (request->outcome) {
	case OUTCOME_OK:
		return 200;
	case OUTCOME_SCRIPT_ERROR:
		return 422;
	case OUTCOME_NO_MEMORY:
		return 507;
	case OUTCOME_SESSION_LOST:
		return 410;
	case OUTCOME_SESSION_BUSY:
		return 409;
	case OUTCOME_KILLED:
		switch (request->report.reason) {
		case BH_KILLED_OOM:
			return 507;
		case BH_KILLED_DEADLINE:
			return 504;
		case BH_KILLED_STACK:
			return 422;
		default:
			return 503;
		}
	default:
		return 503;
	}
}

static void add_message(struct text *text, const struct request *request)
{
	const struct bh_report *report = &request->report;
	const char *when = request->outcome == OUTCOME_SESSION_LOST
				   ? "the session was killed while it was idle: "
				   : "the script was killed: ";
	char sizes[2][16];

	switch (report->reason) {
	case BH_KILLED_OOM:
		text_add(text, "%s%s is limited to %s, and %s asked for %s more", when,
			report->over[0] ? report->over : "its group",
			text_size(sizes[0], report->limit),
			report->asker[0] ? report->asker : "somebody",
			text_size(sizes[1], report->asked));
		break;
	case BH_KILLED_DEADLINE:
		text_add(text, "%sits time was up: it ran for %s, and %s may run for %s",
			when, text_time(sizes[0], request->ran_ns), request->tenant->name,
			text_time(sizes[1], request->deadline_ns));
		break;
	case BH_KILLED_STACK:
		text_add(text, "%sit used up its stack", when);
		break;
	default:
		text_add(text, "%sits client has gone, or the server ends", when);
		break;
	}
}

static void add_report(struct text *text, const struct request *request)
{
	const struct bh_report *report = &request->report;

	text_add(text, ",\"reason\":\"%s\",\"victim_state\":\"%s\"",
		kill_reason_names[report->reason],
		victim_state_names[report->victim_state]);
	if (report->victim_state == BH_VICTIM_BLOCKED && request->wait)
		text_add(text, ",\"blocked_in\":\"%s\"",
			request->wait == WAIT_LOCK ? "lock" : "client");
	text_add(text,
		",\"bytes\":%" PRIu64 ",\"reaped\":%" PRIu64
		",\"kill_to_first_byte_ns\":%" PRIu64 ",\"kill_to_bytes_ns\":%" PRIu64
		",\"kill_to_unwound_ns\":%" PRIu64,
		report->bytes, report->reaped, report->kill_to_first_byte_ns,
		report->kill_to_bytes_ns, report->kill_to_unwound_ns);
	if (report->reason == BH_KILLED_DEADLINE)
		text_add(text, ",\"deadline_ns\":%" PRIu64 ",\"ran_ns\":%" PRIu64,
			request->deadline_ns, request->ran_ns);
	if (report->reason == BH_KILLED_OOM) {
		text_add(text, ",\"over\":");
		text_add_json(
			text, report->over, strnlen(report->over, sizeof(report->over)));
		text_add(text, ",\"asker\":");
		text_add_json(text, report->asker,
			strnlen(report->asker, sizeof(report->asker)));
		text_add(text,
			",\"asked\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"usage\":%" PRIu64,
			report->asked, report->limit, report->usage);
	}
}

void answer_write(struct text *text, const struct request *request)
{
	static const char *const errors[NR_OUTCOMES] = {"pending", "none", "script_error",
		"no_memory", "killed", "session_lost", "session_busy", "failed"};
	struct text message = {0};

	switch (request->outcome) {
	case OUTCOME_KILLED:
	case OUTCOME_SESSION_LOST:
		add_message(&message, request);
		break;
	case OUTCOME_SESSION_BUSY:
		text_add(&message, "another request is inside this session");
		break;
	case OUTCOME_FAILED:
		text_add(&message, "the server could not run the script");
		break;
	default:
		text_add(&message, "%s",
			request->error[0] ? request->error : "not enough memory");
		break;
	}
	text_add(text, "{\"error\":\"%s\",\"tenant\":\"%s\",\"message\":",
		errors[request->outcome], request->tenant->name);
	text_add_json(text, message.data ? message.data : "", message.size);
	if (request->report.reason)
		add_report(text, request);
	text_add(text, "}\n");
	text_fini(&message);
}

void answer_write_refusal(struct text *text, unsigned status, const char *message)
{
	text_add(text, "{\"error\":\"refused\",\"status\":%u,\"message\":", status);
	text_add_json(text, message, strlen(message));
	text_add(text, "}\n");
}
