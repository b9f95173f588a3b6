// SPDX-License-Identifier: Apache-2.0
//
// new and delete in all forms, containers, and a new that fails.
//
//	allocs-cxx ROUNDS	as allocs: waits for a line after "ready", "counted …" and "freed"
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <vector>

namespace {
struct alignas(128) Wide {
	char bytes[1024];
};
std::vector<char *> *kept;
size_t plain, wide, text, in_use;

/* Else the compiler may leave out what is only allocated and freed. */
template <typename T> T *used(T *memory)
{
	asm volatile("" : "+r"(memory) : : "memory");
	return memory;
}

[[gnu::noinline]] void site_plain(unsigned i)
{
	auto *memory = used(new char[4000]);

	plain += 4000;
	if (i % 4) {
		delete[] memory;
		return;
	}
	in_use += 4000;
	kept->push_back(memory);
}

[[gnu::noinline]] void site_wide()
{
	auto *memory = used(new Wide);

	wide += sizeof(Wide);
	delete memory;
}

[[gnu::noinline]] void site_nothrow()
{
	auto *memory = used(new (std::nothrow) char[2000]);

	text += 2000;
	delete[] memory;
}

[[gnu::noinline]] int site_fails()
{
	volatile size_t huge = (size_t)1 << 60;

	try {
		delete[] used(new char[huge]);
	} catch (const std::bad_alloc &) {
		return 1;
	}
	return 0;
}

void wait_for_line()
{
	int c;

	std::fflush(stdout);
	do {
		c = std::getchar();
	} while (c != '\n' && c != EOF);
}
} // namespace

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)std::atoi(argv[1]) : 20000, caught = 0;

	kept = new std::vector<char *>;
	kept->reserve(rounds);
	std::puts("ready");
	wait_for_line();
	for (unsigned i = 0; i < rounds; i++) {
		std::map<int, std::string> map;

		site_plain(i);
		site_wide();
		site_nothrow();
		for (int k = 0; k < 8; k++)
			map[k] = std::string(100, 'x');
		caught += i % 100 == 0 ? site_fails() : 0;
	}
	if (caught != (rounds + 99) / 100)
		return 1;
	std::printf("counted site_plain %zu %zu site_wide %zu 0 site_nothrow %zu 0\n", plain, in_use,
		    wide, text);
	wait_for_line();
	for (char *memory : *kept)
		delete[] memory;
	std::puts("freed");
	wait_for_line();
	return 0;
}
