/* SPDX-License-Identifier: MIT */
/* What the marks of <bulkhead/check.h> come to. */
#include "subject.h"

BHI_EXPORT void bulkhead_check_benign_begin(void);
BHI_EXPORT void bulkhead_check_benign_end(void);
BHI_EXPORT void bulkhead_check_policy_abort(void);

BHI_EXPORT void bulkhead_check_benign_begin(void)
{
	bhi_thread.benign++;
}

BHI_EXPORT void bulkhead_check_benign_end(void)
{
	if (bhi_thread.benign)
		bhi_thread.benign--;
}

BHI_EXPORT void bulkhead_check_policy_abort(void)
{
	if (bhi_load(&bhi_subject.is_on))
		bhi_add(&bhi_subject.shared->nr_policy_aborts, 1);
}
