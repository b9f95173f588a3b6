/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the many parts of the program with much DWARF: see bigprogram.py, which compiles this once
 * and makes the others from the object file, by giving the namespace other names of the same length.
 *
 * Every function does some work with its own instances of the containers and algorithms, and calls
 * another one, chosen at random among those of all parts.
 */
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <unordered_map>
#include <vector>

using Function = uint64_t (*)(uint64_t, int);
extern "C" uint64_t call_next(uint64_t x, int depth);
extern "C" void add_function(Function function);

namespace Tag000 {

template <int N> struct Key {
	uint64_t value;
	bool operator<(const Key &other) const { return value % (N + 3) < other.value % (N + 3); }
	bool operator==(const Key &other) const { return value == other.value; }
};

template <int N> struct Hash {
	size_t operator()(const Key<N> &key) const { return key.value * (2 * N + 1); }
};

/* One of several places that a function calls from, so that there are more return addresses. */
template <int Place> __attribute__((always_inline)) inline uint64_t call(uint64_t x, int depth)
{
	return call_next(x, depth - 1) * (2 * Place + 3);
}

__attribute__((always_inline)) inline uint64_t call_from_anywhere(uint64_t x, int depth)
{
	switch (x >> 40 & 7) {
	case 0: return call<0>(x, depth);
	case 1: return call<1>(x, depth);
	case 2: return call<2>(x, depth);
	case 3: return call<3>(x, depth);
	case 4: return call<4>(x, depth);
	case 5: return call<5>(x, depth);
	case 6: return call<6>(x, depth);
	default: return call<7>(x, depth);
	}
}

template <int N> uint64_t work(uint64_t x, int depth)
{
	std::map<Key<N>, std::vector<Key<N>>> map;
	std::unordered_map<Key<N>, uint64_t, Hash<N>> table;
	std::vector<Key<N>> keys;

	for (int i = 0; i < 6; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL + N;
		keys.push_back(Key<N>{x >> 33});
		map[keys.back()].push_back(keys.front());
		table[keys.back()] += x;
	}
	std::sort(keys.begin(), keys.end());
	std::stable_sort(keys.begin(), keys.end());
	std::set<Key<N>> set(keys.begin(), keys.end());
	std::function<uint64_t(uint64_t)> sizes = [&](uint64_t y) {
		return y + map.size() + set.size();
	};
	auto shared = std::make_shared<std::vector<Key<N>>>(keys);
	x = std::accumulate(shared->begin(), shared->end(), sizes(x),
			    [](uint64_t sum, const Key<N> &key) { return sum + key.value; });
	return depth > 0 ? call_from_anywhere(x, depth) + keys.size() : x + table.size();
}

template <int N> void add_all()
{
	add_function(work<N>);
	if constexpr (N > 1)
		add_all<N - 1>();
}

} // namespace Tag000

extern "C" void Tag000_add() { Tag000::add_all<8>(); }
