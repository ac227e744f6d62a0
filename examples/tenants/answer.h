/* SPDX-License-Identifier: MIT */
/* What became of a script, as a status and a JSON object. */
#ifndef TENANTS_ANSWER_H
#define TENANTS_ANSWER_H

#include "request.h"
#include "text.h"

unsigned answer_status(const struct request *request);

/* For every outcome but OUTCOME_OK. */
void answer_write(struct text *text, const struct request *request);

/* {"error":..., "message":...} for an answer without a script. */
void answer_write_refusal(struct text *text, unsigned status, const char *message);

#endif
