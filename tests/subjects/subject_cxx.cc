/* SPDX-License-Identifier: MIT */
/* A program in C++: what want of memory is there. */
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

struct alignas(64) Wide {
	char bytes[64];
};

static int caught()
{
	try {
		std::vector<char> some(1000);
		return some[0];
	} catch (const std::bad_alloc &) {
		std::fputs("subject: no memory\n", stderr);
		return 1;
	}
}

static int uncaught()
{
	std::vector<char> some(1000);

	return some[0];
}

/* It goes on with less. */
static int nothrow()
{
	char *some = new (std::nothrow) char[1000];

	delete[] some;
	return 0;
}

static int unchecked()
{
	char *some = new (std::nothrow) char[1000];

	std::memset(some, 0, 1000);
	delete[] some;
	return 0;
}

static int aligned()
{
	try {
		delete new Wide;
		return 0;
	} catch (const std::bad_alloc &) {
		std::fputs("subject: no memory\n", stderr);
		return 1;
	}
}

/* An exception where none may leave. */
static void promises() noexcept
{
	delete[] new char[1000];
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!std::strcmp(what, "caught"))
		return caught();
	if (!std::strcmp(what, "uncaught"))
		return uncaught();
	if (!std::strcmp(what, "nothrow"))
		return nothrow();
	if (!std::strcmp(what, "unchecked"))
		return unchecked();
	if (!std::strcmp(what, "aligned"))
		return aligned();
	if (!std::strcmp(what, "noexcept"))
		promises();
	return 0;
}
