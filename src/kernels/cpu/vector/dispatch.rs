//! Functions compiled for several instruction sets, of which one is chosen at run time.

/// Whether the processor has every feature that [`vectorised`]'s AVX-512 form is compiled with. (The standard library asks the
/// processor once and remembers the answer.)
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && has_avx2()
}

/// Whether it has every feature that the AVX2 form is compiled with.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Compiles a function for AVX-512, for AVX2 with FMA and for the baseline, and picks one per call. A form is chosen only if
/// every feature that its attribute names was detected: keep the attributes and [`has_avx512`], [`has_avx2`] the same.
macro_rules! vectorised {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                if $crate::kernels::cpu::vector::dispatch::has_avx512() {
                    // SAFETY: the features that the function was compiled for have just been detected.
                    return unsafe { avx512($($arg),*) };
                }
                if $crate::kernels::cpu::vector::dispatch::has_avx2() {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    )*};
}
pub(in crate::kernels::cpu) use vectorised;
