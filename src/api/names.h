/* SPDX-License-Identifier: MIT */
/* Names of groups and caches, as they come from callers. */
#ifndef BHI_API_NAMES_H
#define BHI_API_NAMES_H

#include <string.h>

#include "account/group.h"

/* 1 to 31 bytes of printable ASCII that need no escaping anywhere. Context: any. */
static inline bool bhi_name_is_valid(const char *name)
{
	size_t len = name ? strnlen(name, BHI_GROUP_NAME_SIZE) : 0;

	if (!len || len >= BHI_GROUP_NAME_SIZE)
		return false;
	for (; *name; name++) {
		if (*name < 0x20 || *name > 0x7e || strchr("/\"\\", *name))
			return false;
	}
	return true;
}

/*
 * The name at @name, to @ret, which has BHI_GROUP_NAME_SIZE bytes: a name in the private
 * memory of a task that is reaped unwinds where it is read, so it is read before anything
 * is taken. False: it is not valid. Context: any.
 */
static inline bool bhi_name_read(char *ret, const char *name)
{
	return name && memccpy(ret, name, '\0', BHI_GROUP_NAME_SIZE) &&
	       bhi_name_is_valid(ret);
}

#endif
