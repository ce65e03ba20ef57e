// See lantu.h. This file manages memory and threads and selects the instruction set; block.inc has the arithmetic.
#include "lantu.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LANTU_X86 1
#include <immintrin.h>
#endif
#ifdef __linux__
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#endif
#if defined(LANTU_X86) && defined(__linux__) && __GNUC__ >= 11
#define LANTU_AMX 1
#include <cpuid.h>
#endif
#ifndef _WIN32
#include <unistd.h>
#endif

#include "team.h"

#define INLINE inline __attribute__((always_inline))

using lantu::Team;

namespace {

constexpr int PANEL = 64;  // outputs that are computed together
constexpr int FEW = 8;     // up to so many tokens are prepared by every member itself
constexpr int TOGETHER = 2;  // queries that attend to the same places together

INLINE int padded16(int count) { return (count + 15) & ~15; }

// Memory, aligned to cache lines, on huge pages if the system has them.
struct Memory {
    void* data = nullptr;

    explicit Memory(size_t bytes = 0, bool zeroed = true) {
        if (!bytes) return;
        const size_t page = bytes >= (1u << 21) ? (1u << 21) : 64;
        bytes = (bytes + page - 1) / page * page;
        if (posix_memalign(&data, page, bytes)) std::abort();
#ifdef __linux__
        if (page > 64) madvise(data, bytes, MADV_HUGEPAGE);
#endif
        if (zeroed) std::memset(data, 0, bytes);
    }
    Memory(const Memory&) = delete;
    Memory(Memory&& other) noexcept : data(other.data) { other.data = nullptr; }
    Memory& operator=(Memory&& other) noexcept {
        std::swap(data, other.data);
        return *this;
    }
    ~Memory() { std::free(data); }
};

// Zeroed pieces of large blocks: each alone would be too small for huge pages, without which reading all weights misses
// the translation buffer once for every 4 KiB.
class Arena {
  public:
    // Blocks of so many bytes; of a piece each, if 0.
    explicit Arena(size_t block = 32u << 20) : block_(block) {}

    void* take(size_t bytes) {
        bytes = (bytes + 63) / 64 * 64;
        if (bytes > left_) {
            const size_t size = std::max(bytes, block_);
            blocks_.emplace_back(size, false);  // what is never taken is never touched, and takes no memory
            next_ = (char*)blocks_.back().data;
            left_ = size;
        }
        char* piece = next_;
        next_ += bytes;
        left_ -= bytes;
        std::memset(piece, 0, bytes);
        return piece;
    }

  private:
    const size_t block_;
    std::vector<Memory> blocks_;
    char* next_ = nullptr;
    size_t left_ = 0;
};

}  // namespace

struct Matrix {
    int rows = 0, columns = 0;
    int panels = 0;  // of 64 outputs; the last may be partly empty
    int padded = 0;  // columns, to a multiple of 16
    bool precise = false;
    void* data = nullptr;
};

namespace {

struct Layer {
    const float *attention_norm, *query_norm, *key_norm, *feed_forward_norm;
    const float *attention_post_norm, *feed_forward_post_norm;
    const float* bias;  // of queries, keys and values (qkv.stride), or null
    Matrix qkv, out, gate_up, down;
};

}  // namespace

struct Stack {
    Shape shape;
    std::vector<Layer> layers;
    Arena memory;
    struct {
        int stride;
    } qkv;
};

namespace {

// The shared state of one forward pass.
struct Pass {
    const Stack* stack;
    Team* team;
    float* x;
    int tokens;
    const float *cosine, *sine, *modulation;
    const Sequence* sequences;
    int count;
    const int* firsts;  // first token of each sequence
    float* heads;       // (T, qkv.stride)
    float* branch;      // (T, D), what attention or feed-forward adds, before its post norm
    void *inputs, *seen, *hidden;
    float** scores;     // of each member
    float** gates;      // (T, PANEL) of each member
    void** own_inputs;  // of each member
};

typedef void (*Forward)(const Pass&, int);
typedef void (*Linear)(const Matrix&, const float*, const float*, float, const float*, int, void*, float*, Team&, int);
typedef float (*MultiplyAdd)(long);
typedef float (*ReadThrough)(const void*, long, long);

#ifdef LANTU_AMX
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512,amx-tile,amx-bf16")
namespace amx {
#define LANTU_TILES 1
#define LANTU_DOT_BF16 1
#define LANTU_LANES 16
#include "block.inc"
#undef LANTU_LANES
#undef LANTU_DOT_BF16
#undef LANTU_TILES
}  // namespace amx
#pragma GCC pop_options
#endif
#ifdef LANTU_X86
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512")
namespace avx512bf16 {
#define LANTU_DOT_BF16 1
#define LANTU_LANES 16
#include "block.inc"
#undef LANTU_LANES
#undef LANTU_DOT_BF16
}  // namespace avx512bf16
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
namespace avx512 {
#define LANTU_LANES 16
#include "block.inc"
#undef LANTU_LANES
}  // namespace avx512
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define LANTU_LANES 8
#include "block.inc"
#undef LANTU_LANES
}  // namespace avx2
#pragma GCC pop_options
#endif
namespace plain {
#define LANTU_LANES 4
#include "block.inc"
#undef LANTU_LANES
}  // namespace plain

struct Instructions {
    const char* name;
    Forward forward;
    Linear linear;
    int strip;  // outputs that are packed together
    MultiplyAdd multiply_add;
    long operations;  // of a round of multiply_add
    ReadThrough read_through;
};

// The functions of an instruction set.
#define LANTU_SET(set) \
    {#set, set::forward, set::linear, set::STRIP, set::multiply_add, set::OPERATIONS, set::read_through}

#ifdef LANTU_AMX
// Whether the processor multiplies tiles of bfloat16, and the system lets this process do so.
bool may_use_tiles() {
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    constexpr long ASK = 0x1023, TILE_DATA = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    unsigned a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILES)) != (BF16 | TILES)) return false;
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}
#endif

Instructions choose_instructions() {
    const char* asked = std::getenv("LANTU_INSTRUCTIONS");  // an older set, for tests
    const auto may = [&](const char* name) { return !asked || !std::strcmp(asked, name); };
#ifdef LANTU_X86
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#ifdef LANTU_AMX
    if (may("amx") && wide && __builtin_cpu_supports("avx512bf16") && may_use_tiles()) return LANTU_SET(amx);
#endif
    if (may("avx512bf16") && wide && __builtin_cpu_supports("avx512bf16"))
        return LANTU_SET(avx512bf16);
    if (may("avx512") && wide) return LANTU_SET(avx512);
    if (may("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return LANTU_SET(avx2);
#endif
    return LANTU_SET(plain);
}

const Instructions& instructions() {
    static const Instructions chosen = choose_instructions();
    return chosen;
}

}  // namespace

// Cores that this process may use: fewer than the machine has under taskset, or in a container with a set of cores, where
// members of a team would wait for one another's turn at every barrier.
static int usable_cores() {
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
#endif
    return (int)std::max(1u, std::thread::hardware_concurrency());
}

// A team and its scratch memory: one for the process, and one for each thread group.
struct ThreadGroup {
    std::mutex busy;  // one pass at a time
    int wanted = 0;   // threads; 0 for one per core
    Memory scratch;   // kept from pass to pass

    // Created at first use, and again after a fork.
    Team& team() {
#ifdef _WIN32
        const long self = 1;
#else
        const long self = (long)getpid();
#endif
        if (team_ && owner_ != self) (void)team_.release();  // its threads stayed in the parent
        const int count = wanted > 0 ? wanted : usable_cores();
        if (!team_ || most_ != count) {
            team_.reset();
            team_ = std::make_unique<Team>(count);
            most_ = count;
            owner_ = self;
        }
        return *team_;
    }

    char* room(size_t bytes) {
        if (bytes > room_) {
            scratch = Memory(bytes);
            room_ = bytes;
        }
        return (char*)scratch.data;
    }

  private:
    std::unique_ptr<Team> team_;
    int most_ = 0;  // members that were asked for
    long owner_ = 0;
    size_t room_ = 0;
};

namespace {

ThreadGroup shared;
thread_local ThreadGroup* entered = nullptr;

ThreadGroup& thread_group() { return entered ? *entered : shared; }

// ---- packing

float value_at(const Source& source, long place) {
    if (!source.is_bf16) return ((const float*)source.data)[place];
    const uint32_t bits = (uint32_t)((const uint16_t*)source.data)[place] << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Pack a source's rows into a matrix, as product.inc reads it; row r goes to place(r).
template <class Place>
void enter(Matrix& m, const Source& source, Place place) {
    const int STRIP = instructions().strip;
    for (int row = 0; row < source.rows; row++) {
        const int to = place(row);
        const long strip = (long)(to / STRIP) * STRIP * m.padded;
        const long from = (long)row * source.columns;
        const int lane = to % STRIP;
        if (m.precise) {
            float* data = (float*)m.data + strip + lane;
            for (int column = 0; column < source.columns; column++)
                data[(long)column * STRIP] = value_at(source, from + column);
        } else if (source.is_bf16) {
            uint16_t* data = (uint16_t*)m.data + strip + 2 * lane;
            const uint16_t* values = (const uint16_t*)source.data + from;
            for (int column = 0; column < source.columns; column++)
                data[(long)(column / 2) * 2 * STRIP + column % 2] = values[column];
        } else {
            uint16_t* data = (uint16_t*)m.data + strip + 2 * lane;
            const float* values = (const float*)source.data + from;
            for (int column = 0; column < source.columns; column++)
                data[(long)(column / 2) * 2 * STRIP + column % 2] = to_bf16(values[column]);
        }
    }
}

Matrix make(int rows, int columns, bool precise, Arena& memory) {
    Matrix m;
    m.rows = rows;
    m.columns = columns;
    m.panels = (rows + PANEL - 1) / PANEL;
    m.padded = padded16(columns);
    m.precise = precise;
    m.data = memory.take((size_t)m.panels * PANEL * m.padded * (precise ? 4 : 2));
    return m;
}

const float* copy(const float* values, int count, Arena& memory) {
    if (!values) return nullptr;
    void* kept = memory.take((size_t)padded16(count) * sizeof(float));
    std::memcpy(kept, values, count * sizeof(float));
    return (const float*)kept;
}

struct Single : Matrix {
    Arena memory{0};
};

// ---- sampling an id from logits

const float PLAUSIBLE = -2.3025851f;  // log 0.1

int choose_one(const float* logits, int size, const Choice& choice, std::vector<float>& guided,
               std::vector<float>& ordered, std::vector<std::pair<double, int>>& kept) {
    const float* row = logits + (long)choice.row * size;
    guided.assign(row, row + size);
    if (choice.unconditional >= 0) {
        const float* other = logits + (long)choice.unconditional * size;
        if (choice.contrast > 0) {
            ordered.assign(row, row + size);
            const int place = std::min((int)choice.contrast, size) - 1;
            std::nth_element(ordered.begin(), ordered.begin() + place, ordered.end(), std::greater<float>());
            const float plausible = ordered[place] + PLAUSIBLE;
            for (int id = 0; id < size; id++)
                guided[id] = row[id] >= plausible ? choice.guidance * (row[id] - other[id]) : -INFINITY;
        } else {
            for (int id = 0; id < size; id++) guided[id] = other[id] + choice.guidance * (row[id] - other[id]);
        }
    }
    const int likeliest = (int)(std::max_element(guided.begin(), guided.end()) - guided.begin());
    if (choice.temperature <= 0) return likeliest;
    float least = -INFINITY;
    if (choice.top_k > 0 && choice.top_k < size) {
        ordered = guided;
        std::nth_element(ordered.begin(), ordered.begin() + choice.top_k - 1, ordered.end(), std::greater<float>());
        least = ordered[choice.top_k - 1];
    }
    kept.clear();
    double total = 0;
    const float most = guided[likeliest];
    for (int id = 0; id < size; id++)
        if (guided[id] >= least && guided[id] > -INFINITY) {
            kept.emplace_back(std::exp((double)(guided[id] - most) / choice.temperature), id);
            total += kept.back().first;
        }
    if (choice.top_p < 1) {
        std::vector<int> order(kept.size());
        for (size_t at = 0; at < order.size(); at++) order[at] = (int)at;
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return kept[a].first > kept[b].first; });
        double before = 0;
        for (int at : order) {
            const double share = kept[at].first;
            if (before >= choice.top_p * total) kept[at].first = 0;
            before += share;
        }
        total = 0;  // in the order of the loop below, so that it ends at exactly this sum
        for (const auto& [share, id] : kept) total += share;
    }
    const double wanted = choice.uniform * total;
    double reached = 0;
    int last = likeliest;
    for (const auto& [share, id] : kept) {
        reached += share;
        if (share > 0) last = id;
        if (reached > wanted && share > 0) return id;
    }
    return last;  // where the product was rounded up to the sum
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

const char* lantu_instructions(void) { return instructions().name; }

void lantu_set_threads(int32_t count) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    here.wanted = count;
}

int32_t lantu_threads(void) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    return here.team().size();
}

ThreadGroup* lantu_thread_group(int32_t count) {
    auto* group = new ThreadGroup;
    group->wanted = count;
    return group;
}

void lantu_thread_group_free(ThreadGroup* group) { delete group; }

void lantu_enter(ThreadGroup* group) { entered = group; }

Matrix* lantu_matrix(const Source* source, int32_t precise) {
    auto* single = new Single;
    static_cast<Matrix&>(*single) = make(source->rows, source->columns, precise != 0, single->memory);
    enter(*single, *source, [](int row) { return row; });
    return single;
}

void lantu_matrix_free(Matrix* matrix) { delete static_cast<Single*>(matrix); }

void lantu_linear(const Matrix* matrix, const float* bias, const float* norm, float eps, const float* x, int32_t tokens,
                  float* out) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    Team& all = here.team();
    void* inputs = here.room((size_t)tokens * matrix->padded * 4);
    all.run([&](int member) {
        instructions().linear(*matrix, bias, norm, eps, x, tokens, inputs, out, all, member);
    });
}

Stack* lantu_stack(const Shape* shape) {
    auto* stack = new Stack;
    stack->shape = *shape;
    stack->qkv.stride = ((shape->heads + 2 * shape->key_value_heads) * shape->head_width + PANEL - 1) / PANEL * PANEL;
    return stack;
}

void lantu_stack_add(Stack* stack, const LayerSource* source) {
    const LayerSource& from = *source;
    const Shape& shape = stack->shape;
    const bool precise = shape.precise != 0;
    const int D = shape.width, K = shape.head_width, HK = shape.heads * K, GK = shape.key_value_heads * K;
    Arena& memory = stack->memory;
    Layer layer;
    layer.attention_norm = copy(from.attention_norm, D, memory);
    layer.query_norm = copy(from.query_norm, K, memory);
    layer.key_norm = copy(from.key_norm, K, memory);
    layer.feed_forward_norm = copy(from.feed_forward_norm, D, memory);
    layer.attention_post_norm = copy(from.attention_post_norm, D, memory);
    layer.feed_forward_post_norm = copy(from.feed_forward_post_norm, D, memory);
    layer.bias = nullptr;
    if (from.query_bias) {
        std::vector<float> bias(stack->qkv.stride);
        std::copy_n(from.query_bias, HK, bias.begin());
        std::copy_n(from.key_bias, GK, bias.begin() + HK);
        std::copy_n(from.value_bias, GK, bias.begin() + HK + GK);
        layer.bias = copy(bias.data(), stack->qkv.stride, memory);
    }
    layer.qkv = make(HK + 2 * GK, D, precise, memory);
    enter(layer.qkv, from.query, [](int row) { return row; });
    enter(layer.qkv, from.key, [&](int row) { return HK + row; });
    enter(layer.qkv, from.value, [&](int row) { return HK + GK + row; });
    layer.out = make(D, HK, precise, memory);
    enter(layer.out, from.out, [](int row) { return row; });
    const int panels = (shape.inner + PANEL - 1) / PANEL;
    layer.gate_up = make(2 * panels * PANEL, D, precise, memory);
    enter(layer.gate_up, from.gate, [](int row) { return row / PANEL * 2 * PANEL + row % PANEL; });
    enter(layer.gate_up, from.up, [](int row) { return row / PANEL * 2 * PANEL + PANEL + row % PANEL; });
    // Inner places beyond the last are zero on both sides.
    layer.down = make(D, panels * PANEL, precise, memory);
    enter(layer.down, from.down, [](int row) { return row; });
    stack->layers.push_back(layer);
}

void lantu_stack_free(Stack* stack) { delete stack; }

int64_t lantu_cache_bytes(const Stack* stack, int32_t capacity) {
    const Shape& shape = stack->shape;
    return (int64_t)shape.layers * shape.key_value_heads * 2 * padded16(capacity) * shape.head_width *
           (shape.precise ? 4 : 2);
}

void lantu_forward(const Stack* stack, float* x, int32_t tokens, const float* cosine, const float* sine,
                   const Sequence* sequences, int32_t count, const float* modulation) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    Team& all = here.team();
    const Layer& layer = stack->layers[0];
    int longest = 0;
    std::vector<int> firsts;
    for (int which = 0, first = 0; which < count; which++) {
        const Sequence& sequence = sequences[which];
        firsts.push_back(first);
        first += sequence.tokens;
        longest = std::max(longest, padded16(sequence.prefix_length) + sequence.start + sequence.tokens);
    }
    size_t used = 0;
    const auto reserve = [&](size_t bytes) {
        const size_t at = used;
        used += (bytes + 63) / 64 * 64;
        return at;
    };
    const int widest = std::max({layer.qkv.padded, layer.out.padded, layer.gate_up.padded});
    const size_t heads = reserve((size_t)tokens * stack->qkv.stride * 4);
    const size_t inputs = reserve((size_t)tokens * widest * 4);
    const size_t seen = reserve((size_t)tokens * widest * 4);
    const bool apart = layer.attention_post_norm || layer.feed_forward_post_norm;
    const size_t branch = reserve(apart ? (size_t)tokens * stack->shape.width * 4 : 0);
    const size_t hidden = reserve((size_t)tokens * layer.down.padded * 4);
    std::vector<size_t> scores, gates, own;
    for (int member = 0; member < all.size(); member++) {
        scores.push_back(reserve((size_t)(longest + 32) * TOGETHER * 4));
        gates.push_back(reserve((size_t)tokens * PANEL * 4));
        own.push_back(reserve((size_t)std::min<int>(tokens, FEW) * widest * 4));
    }
    char* base = here.room(used);
    std::vector<float*> member_scores, member_gates;
    std::vector<void*> member_inputs;
    for (int member = 0; member < all.size(); member++) {
        member_scores.push_back((float*)(base + scores[member]));
        member_gates.push_back((float*)(base + gates[member]));
        member_inputs.push_back(base + own[member]);
    }
    // Clear the padding, which may hold values of a pass of another shape.
    if (layer.out.padded != layer.out.columns) std::memset(base + seen, 0, (size_t)tokens * layer.out.padded * 4);
    const Pass pass = {stack,
                       &all,
                       x,
                       tokens,
                       cosine,
                       sine,
                       modulation,
                       sequences,
                       count,
                       firsts.data(),
                       (float*)(base + heads),
                       (float*)(base + branch),
                       base + inputs,
                       base + seen,
                       base + hidden,
                       member_scores.data(),
                       member_gates.data(),
                       member_inputs.data()};
    all.run([&](int member) { instructions().forward(pass, member); });
}

double lantu_multiply_add(int64_t rounds) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    Team& all = here.team();
    volatile float kept;  // so that the work is done
    const double started = seconds();
    all.run([&](int) { kept = instructions().multiply_add(rounds); });
    return (double)rounds * instructions().operations * all.size() / (seconds() - started);
}

double lantu_read_through(const void* data, int64_t bytes, int64_t ahead, int64_t times) {
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    Team& all = here.team();
    volatile float kept;
    const int64_t each = bytes / all.size() / 1024 * 1024;
    const double started = seconds();
    all.run([&](int member) {
        const char* own = (const char*)data + member * each;
        for (int64_t time = 0; time < times; time++) kept = instructions().read_through(own, each, ahead);
    });
    return (double)each * all.size() * times / (seconds() - started);
}

void lantu_choose(const float* logits, int32_t size, const Choice* choices, int32_t count, int32_t* columns) {
    const auto share = [&](int member, int members) {
        std::vector<float> guided, ordered;
        std::vector<std::pair<double, int>> kept;
        for (int at = count * member / members; at < count * (member + 1) / members; at++)
            columns[at] = choose_one(logits, size, choices[at], guided, ordered, kept);
    };
    if (count == 1) return share(0, 1);
    ThreadGroup& here = thread_group();
    std::lock_guard<std::mutex> lock(here.busy);
    Team& all = here.team();
    all.run([&](int member) { share(member, all.size()); });
}
