/* SPDX-License-Identifier: Apache-2.0 */
/* C++ with every way to hide a function from a symbolizer: inlining into inlining, templates,
 * lambdas, local classes, methods, virtual calls, anonymous namespaces, split cold parts. */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace
{
volatile unsigned sink;

struct counter {
	unsigned n = 0;
	void add(unsigned x)
	{
		n += x * 31;
		sink = n;
	}
};
} // namespace

namespace shapes
{
struct shape {
	virtual ~shape() = default;
	virtual double area() const = 0;
	virtual std::string name() const = 0;
};

class square : public shape
{
	double side;

      public:
	explicit square(double s) : side(s)
	{
		sink = static_cast<unsigned>(s);
	}
	double area() const override
	{
		return side * side;
	}
	std::string name() const override
	{
		return "square " + std::to_string(side);
	}
};

template <typename T, int N> struct stack {
	T items[N];
	int n = 0;
	bool push(T item)
	{
		if (n == N)
			return false;
		items[n++] = item;
		return true;
	}
	T sum() const
	{
		T total = 0;
		for (int i = 0; i < n; i++)
			total += items[i];
		return total;
	}
};

static inline __attribute__((always_inline)) unsigned innermost(unsigned x)
{
	counter c;
	for (unsigned i = 0; i < x; i++)
		c.add(i);
	return c.n;
}

static inline __attribute__((always_inline)) unsigned middle(unsigned x)
{
	return innermost(x) + innermost(x + 1);
}

__attribute__((noinline)) unsigned outer(unsigned x)
{
	return middle(x) ^ middle(x / 2);
}

__attribute__((noinline)) unsigned with_local_class(unsigned x)
{
	struct local {
		unsigned seed;
		__attribute__((noinline)) unsigned twist(unsigned y)
		{
			sink = y;
			return seed ^ y * 7;
		}
	} l{x};
	auto lambda = [&](unsigned y) __attribute__((noinline)) {
		sink = y;
		return l.twist(y) + x;
	};

	return lambda(x) + lambda(x + 1);
}

__attribute__((noinline)) unsigned with_cold_part(unsigned x)
{
	if (__builtin_expect(x == 0xdeadbeef, 0)) {
		std::fprintf(stderr, "unlikely %u\n", x);
		std::abort();
	}
	if (x > 1000000)
		throw std::string("too large");
	return x + 1;
}
} // namespace shapes

int main(int argc, char **)
{
	std::vector<std::unique_ptr<shapes::shape>> all;
	std::map<std::string, double> areas;
	shapes::stack<unsigned, 16> stack;
	std::function<unsigned(unsigned)> f = shapes::outer;

	for (int i = 0; i < 8; i++)
		all.push_back(std::make_unique<shapes::square>(i + argc));
	for (const auto &s : all)
		areas[s->name()] += s->area();
	std::sort(all.begin(), all.end(),
		  [](const auto &a, const auto &b) { return a->area() > b->area(); });
	for (unsigned i = 0; i < 20; i++)
		stack.push(f(i) + shapes::with_local_class(i));
	std::printf("alive %u %zu\n", shapes::with_cold_part(stack.sum() % 1000), areas.size());
	return 0;
}
