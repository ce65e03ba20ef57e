// MKL, with which torch multiplies float32 matrices on CPUs, asks two functions of its own whether it runs on an Intel
// processor, and on others takes kernels for any processor instead of those for AVX2. Loaded with RTLD_GLOBAL before
// torch, these two answer in their place (Daniël de Kok, "Intel MKL on AMD Zen", 2020). See kernels/mkl.py.
#if defined(__x86_64__) && defined(__GNUC__)
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int mkl_serv_intel_cpu(void) { return 1; }
EXPORTED int mkl_serv_intel_cpu_true(void) { return 1; }

// Whether that is known to pay here: on AMD's processors with AVX2 and without AVX-512.
EXPORTED int lantu_mkl_pays(void) {
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           !__builtin_cpu_supports("avx512f");
}
#else
int lantu_mkl_pays(void) { return 0; }
#endif
