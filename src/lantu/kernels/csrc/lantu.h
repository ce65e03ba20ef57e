// The C interface: a stack of transformer blocks, single matrices, and sampling of an id. It knows nothing of Python.
//
// T tokens of all sequences together, D width, H heads, G heads of keys and values, K head width, F inner width, V ids.
#pragma once

#include <stdint.h>

#ifdef _WIN32
#define LANTU_API extern "C" __declspec(dllexport)
#else
#define LANTU_API extern "C" __attribute__((visibility("default")))
#endif

// A matrix (rows, columns) in row-major order.
struct Source {
    const void* data;
    int32_t rows, columns;
    int32_t is_bf16;  // otherwise float32
};

struct LayerSource {
    const float* attention_norm;     // (D)
    const float* query_norm;         // (K), or null
    const float* key_norm;           // (K), or null
    const float* feed_forward_norm;  // (D)
    const float *query_bias, *key_bias, *value_bias;                 // (H·K), (G·K), (G·K), or all null
    const float *attention_post_norm, *feed_forward_post_norm;       // (D), or null: of what a branch adds to its input
    Source query, key, value;        // (H·K, D), (G·K, D), (G·K, D)
    Source out;                      // (D, H·K)
    Source gate, up;                 // (F, D)
    Source down;                     // (D, F)
};

struct Shape {
    int32_t layers, width, heads, key_value_heads, head_width, inner;
    int32_t precise;  // all in float32; otherwise weights, activations and cache in bfloat16, sums in float32
    int32_t gelu;     // the gate's activation is GELU by its tanh approximation; otherwise SiLU
    float eps;
};

// New tokens of one sequence. They attend to a prefix, which sequences may share, and to the sequence's own KV cache.
struct Sequence {
    void* memory;         // lantu_cache_bytes(stack, capacity)
    const void* prefix;   // of another sequence, or null
    int32_t capacity, prefix_capacity, prefix_length;
    int32_t start;        // tokens in its own cache so far
    int32_t tokens;       // new tokens, appended to the cache
    int32_t causal;       // otherwise every new token attends to all
};

struct Choice {
    int32_t row, unconditional;  // indices of logits; unconditional may be -1
    int32_t top_k;          // 0 for all
    int32_t contrast;       // k of contrastive decoding, 0 for plain guidance
    float guidance, temperature, top_p;
    double uniform;  // a random number in [0, 1) that decides
};

struct ThreadGroup;
struct Matrix;
struct Stack;

LANTU_API const char* lantu_instructions(void);
LANTU_API void lantu_set_threads(int32_t count);  // 0 for one per core
LANTU_API int32_t lantu_threads(void);
// A thread group of its own: what the calling thread computes after entering it runs beside passes of the shared group.
// Entering null returns to the shared group.
LANTU_API ThreadGroup* lantu_thread_group(int32_t count);
LANTU_API void lantu_thread_group_free(ThreadGroup* group);
LANTU_API void lantu_enter(ThreadGroup* group);

LANTU_API Matrix* lantu_matrix(const Source* source, int32_t precise);
LANTU_API void lantu_matrix_free(Matrix* matrix);
// out (T, rows) = norm(x) (T, columns) · matrix + bias; norm and bias may be null.
LANTU_API void lantu_linear(const Matrix* matrix, const float* bias, const float* norm, float eps, const float* x,
                            int32_t tokens, float* out);

// A stack without layers; lantu_stack_add appends one, shape->layers times, and copies what it is given.
LANTU_API Stack* lantu_stack(const Shape* shape);
LANTU_API void lantu_stack_add(Stack* stack, const LayerSource* layer);
LANTU_API void lantu_stack_free(Stack* stack);
LANTU_API int64_t lantu_cache_bytes(const Stack* stack, int32_t capacity);
// Run x (T, D) through all blocks in place. cosine, sine: (T, K/2). modulation: (layers, 6, D), shift, scale and gate of
// attention and of feed-forward, or null; with post norms it must be null.
LANTU_API void lantu_forward(const Stack* stack, float* x, int32_t tokens, const float* cosine, const float* sine,
                             const Sequence* sequences, int32_t count, const float* modulation);

// Sample one column of logits (rows, V) for each choice.
LANTU_API void lantu_choose(const float* logits, int32_t size, const Choice* choices, int32_t count, int32_t* columns);

// Rooflines: operations a second of multiplications and additions alone, and bytes a second of reading alone, on all
// threads. ahead: bytes that are fetched before they are needed, or 0. times: that each reads its share.
LANTU_API double lantu_multiply_add(int64_t rounds);
LANTU_API double lantu_read_through(const void* data, int64_t bytes, int64_t ahead, int64_t times);
