// Half precision just so that dfdx's kernels compile: a `__half` that keeps single precision. No half kernel is enlisted.
#pragma once
#include "standin.h"

struct __half {
    float value;
    __half() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> __half(T from) : value(float(from)) {}
    operator float() const { return value; }
    __half& operator+=(__half by) { return value += by.value, *this; }
    __half& operator-=(__half by) { return value -= by.value, *this; }
    __half& operator*=(__half by) { return value *= by.value, *this; }
    __half& operator/=(__half by) { return value /= by.value, *this; }
};
inline __half operator+(__half a, __half b) { return a.value + b.value; }
inline __half operator-(__half a, __half b) { return a.value - b.value; }
inline __half operator*(__half a, __half b) { return a.value * b.value; }
inline __half operator/(__half a, __half b) { return a.value / b.value; }
inline __half operator-(__half a) { return -a.value; }
inline __half __float2half(float x) { return x; }
inline float __half2float(__half x) { return x.value; }
inline bool __hisnan(__half x) { return std::isnan(x.value); }
inline __half __hmax_nan(__half a, __half b) { return fmaxf(a, b); }
inline __half __hmin_nan(__half a, __half b) { return fminf(a, b); }
inline __half __habs(__half x) { return fabsf(x); }
inline __half hcos(__half x) { return cosf(x); }
inline __half hsin(__half x) { return sinf(x); }
inline __half hsqrt(__half x) { return sqrtf(x); }
inline __half hlog(__half x) { return logf(x); }
inline __half hexp(__half x) { return expf(x); }
unsigned short __half_as_ushort(__half x);
__half __ushort_as_half(unsigned short x);
