// SPDX-License-Identifier: Apache-2.0
// Heavy inlining and long names: templates, lambdas, std::function, containers, exceptions.
//
//	inline SECONDS        prints "ready", works, prints a checksum
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace shapes {

struct Shape {
	virtual ~Shape() = default;
	virtual double area(double scale) const = 0;
};

template <typename T> static inline T square(T x)
{
	return x * x;
}

template <int N> struct Polygon : Shape {
	double side[N];
	explicit Polygon(double s)
	{
		std::iota(side, side + N, s);
	}
	double area(double scale) const override
	{
		return std::accumulate(side, side + N, 0.0, [scale](double a, double b) {
			return a + square(b * scale) / (1.0 + square(a));
		});
	}
};

double total(const std::vector<std::unique_ptr<Shape>> &all)
{
	double sum = 0;
	for (const auto &shape : all)
		sum += shape->area(1.5);
	return sum;
}

} // namespace shapes

namespace {

template <typename Key> uint64_t count_words(const std::vector<Key> &words)
{
	std::map<Key, uint64_t> counts;
	for (const auto &word : words)
		counts[word + "!"]++;
	return std::accumulate(counts.begin(), counts.end(), uint64_t{0},
			       [](uint64_t n, const auto &entry) { return n * 31 + entry.second; });
}

uint64_t throwing(int depth)
{
	if (depth == 0)
		throw std::runtime_error("bottom");
	return throwing(depth - 1) + 1;
}

uint64_t catching(int times)
{
	uint64_t caught = 0;
	for (int i = 0; i < times; i++) {
		try {
			caught += throwing(20);
		} catch (const std::exception &) {
			caught++;
		}
	}
	return caught;
}

} // namespace

int main(int argc, char **argv)
{
	using clock = std::chrono::steady_clock;
	const auto end = clock::now() + std::chrono::duration<double>(argc > 1 ? atof(argv[1]) : 5);
	std::vector<std::unique_ptr<shapes::Shape>> all;
	std::vector<std::string> words;
	std::function<uint64_t(uint64_t)> mix = [&](uint64_t x) { return x * 6364136223846793005u + 1; };
	uint64_t sum = 1;

	for (int i = 0; i < 300; i++) {
		all.push_back(std::make_unique<shapes::Polygon<7>>(i));
		all.push_back(std::make_unique<shapes::Polygon<16>>(i));
		words.push_back("word number " + std::to_string(i * 7919 % 97));
	}
	std::puts("ready");
	std::fflush(stdout);
	while (clock::now() < end) {
		std::vector<uint64_t> numbers(5000);
		for (auto &n : numbers)
			n = sum = mix(sum);
		std::sort(numbers.begin(), numbers.end(), [](auto a, auto b) { return (a ^ 5) < (b ^ 5); });
		sum += numbers[17] + count_words(words) + catching(20);
		sum += static_cast<uint64_t>(shapes::total(all));
	}
	std::printf("%llu\n", static_cast<unsigned long long>(sum));
}
