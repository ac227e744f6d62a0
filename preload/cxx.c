/* SPDX-License-Identifier: MIT */
/*
 * operator new. The one of the C++ library is made of malloc, where its calls are counted
 * and refused; it throws by itself then. An allocator that brings its own is refused
 * here: by throwing what the C++ library throws, or by NULL.
 *
 * A C++ library may have been loaded for a plug-in alone and be invisible to the rest of
 * the process; then it is found through the object that called. What was allocated here
 * is given back by an operator delete that is not ours, so it is not tallied.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"
#include "real.h"

enum form {
	NEW,
	NEW_ARRAY,
	NEW_NOTHROW,
	NEW_ARRAY_NOTHROW,
	NEW_ALIGNED,
	NEW_ARRAY_ALIGNED,
	NEW_ALIGNED_NOTHROW,
	NEW_ARRAY_ALIGNED_NOTHROW,
	NR_FORMS,
};

static const char *const names[NR_FORMS] = {
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
};

struct operator_new {
	void *function;
	bool is_own; /* not made of malloc */
};

/* Set once, .is_own first. */
static struct operator_new known[NR_FORMS];

/* @name as seen after us, else by the object that @caller is in. */
static void *find(const char *name, const void *caller)
{
	void *function = dlsym(RTLD_NEXT, name);
	void *object;
	Dl_info info;

	if (function || !dladdr(caller, &info) || !info.dli_fname)
		return function;
	bhi_thread.nesting++;
	/* Never closed: what was found must stay. */
	object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (object)
		function = dlsym(object, name);
	bhi_thread.nesting--;
	return function;
}

static bool is_made_of_malloc(const void *function)
{
	Dl_info info;
	const char *slash;

	if (!dladdr(function, &info) || !info.dli_fname)
		return true;
	slash = strrchr(info.dli_fname, '/');
	return !strncmp(slash ? slash + 1 : info.dli_fname, "libstdc++", 9) ||
	       !strncmp(slash ? slash + 1 : info.dli_fname, "libc++", 6);
}

static struct operator_new get(enum form form, const void *caller)
{
	struct operator_new *place = &known[form];
	struct operator_new found = {.function = bhi_load_acquire(&place->function)};

	if (bhi_likely(found.function)) {
		found.is_own = place->is_own;
		return found;
	}
	found.function = find(names[form], caller);
	/* Whoever calls it has it among its libraries, or could not have been linked. */
	if (!found.function)
		abort();
	found.is_own = !is_made_of_malloc(found.function);
	place->is_own = found.is_own;
	bhi_store_release(&place->function, found.function);
	return found;
}

static void throw_bad_alloc(const void *caller)
{
	void (*throw)(void);

	*(void **)&throw = find("_ZSt17__throw_bad_allocv", caller);
	if (throw)
		throw();
}

/* Whether the call is refused; those that do not throw return NULL then. */
static bool refuse(struct operator_new new, bool nothrow, size_t size, const void *caller)
{
	if (!new.is_own || !bhi_inject(nothrow ? BHI_CHECK_NEW_NOTHROW : BHI_CHECK_NEW,
				   size, caller))
		return false;
	errno = ENOMEM;
	if (!nothrow)
		throw_bad_alloc(caller);
	return true;
}

#define CALLER __builtin_return_address(0)

#define OPERATOR(name, form, nothrow, parameters, types, arguments)   \
	BHI_EXPORT void *name parameters;                             \
	BHI_EXPORT void *name parameters                              \
	{                                                             \
		struct operator_new new = get(form, CALLER);          \
                                                                      \
		if (bhi_unlikely(refuse(new, nothrow, size, CALLER))) \
			return NULL;                                  \
		return ((void *(*)types) new.function)arguments;      \
	}

OPERATOR(_Znwm, NEW, false, (size_t size), (size_t), (size))
OPERATOR(_Znam, NEW_ARRAY, false, (size_t size), (size_t), (size))
OPERATOR(_ZnwmRKSt9nothrow_t, NEW_NOTHROW, true, (size_t size, const void *tag),
	(size_t, const void *), (size, tag))
OPERATOR(_ZnamRKSt9nothrow_t, NEW_ARRAY_NOTHROW, true, (size_t size, const void *tag),
	(size_t, const void *), (size, tag))
OPERATOR(_ZnwmSt11align_val_t, NEW_ALIGNED, false, (size_t size, size_t align),
	(size_t, size_t), (size, align))
OPERATOR(_ZnamSt11align_val_t, NEW_ARRAY_ALIGNED, false, (size_t size, size_t align),
	(size_t, size_t), (size, align))
OPERATOR(_ZnwmSt11align_val_tRKSt9nothrow_t, NEW_ALIGNED_NOTHROW, true,
	(size_t size, size_t align, const void *tag), (size_t, size_t, const void *),
	(size, align, tag))
OPERATOR(_ZnamSt11align_val_tRKSt9nothrow_t, NEW_ARRAY_ALIGNED_NOTHROW, true,
	(size_t size, size_t align, const void *tag), (size_t, size_t, const void *),
	(size, align, tag))
