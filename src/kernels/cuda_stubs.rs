//! Functions under the names of NVIDIA's, for a program that starts without NVIDIA's libraries.
//!
//! cudarc links with the libraries. For each function that it calls, a program with the line
//! [`load_cuda_libraries_late!()`](crate::load_cuda_libraries_late) gets one of the same name, which jumps to the
//! address in its slot, so that the linker needs no library. At first a slot leads to code that looks the function up
//! and fills the slot. Functions of a missing library return an error.

/// Has a program load NVIDIA's libraries when it first looks for a GPU, not when it starts.
///
/// With the feature `cuda` a program is linked with those of NVIDIA's libraries that it reaches (the driver, cuBLAS,
/// NVRTC), and the system does not start it where one of them is missing. Write this line once in a program of your
/// own, outside of functions, if it should start there:
///
/// ```
/// sam2unet::load_cuda_libraries_late!();
/// ```
///
/// Where the driver or cuBLAS is missing, [`DeviceChoice::open`](crate::device::DeviceChoice::open) then says which, or
/// takes the CPU. The libraries are looked for as `dlopen` does, in `LD_LIBRARY_PATH` and the system's folders: cuBLAS
/// 13, 12, then 11.
///
/// The line also lets a program live on when a GPU fails for good: the call that meets the failure returns the error.
/// Without it cudarc panics when it frees that GPU's memory.
///
/// It belongs in a program or in the root of a test binary, not in a library: for the whole program it defines the
/// functions that cudarc 0.9 calls, under NVIDIA's names. Code beside this crate that calls one of them reaches the
/// same library through it. Other functions of NVIDIA's are linked as ever. Two such lines in one program do not link.
///
/// Without the feature `cuda`, and elsewhere than on Linux on x86-64, it stands for nothing.
#[macro_export]
macro_rules! load_cuda_libraries_late {
    () => {
        // every function that cudarc 0.9.15 and this crate call; one that is not here would be linked, with its library
        $crate::cuda_stubs! {
            // the driver
            "cuCtxGetCurrent" "cuCtxSetCurrent" "cuCtxSynchronize" "cuDeviceGet" "cuDeviceGetAttribute"
            "cuDeviceGetCount" "cuDeviceGetDefaultMemPool" "cuDeviceGetName" "cuDeviceGetUuid_v2"
            "cuDevicePrimaryCtxRelease_v2" "cuDevicePrimaryCtxRetain" "cuDeviceTotalMem_v2" "cuEventCreate" "cuEventDestroy_v2" "cuEventElapsedTime"
            "cuEventRecord" "cuEventSynchronize" "cuGetErrorName" "cuGetErrorString" "cuInit" "cuLaunchKernel"
            "cuMemAllocAsync" "cuMemAllocHost_v2" "cuMemAlloc_v2" "cuMemFreeAsync" "cuMemFreeHost" "cuMemFree_v2"
            "cuMemGetInfo_v2" "cuMemPoolGetAttribute" "cuMemPoolSetAttribute" "cuMemcpyDtoDAsync_v2" "cuMemcpyDtoD_v2"
            "cuMemcpyDtoHAsync_v2" "cuMemcpyDtoH_v2" "cuMemcpyHtoDAsync_v2" "cuMemcpyHtoD_v2" "cuMemsetD8Async"
            "cuMemsetD8_v2" "cuModuleGetFunction" "cuModuleLoad" "cuModuleLoadData" "cuModuleUnload" "cuStreamCreate"
            "cuStreamDestroy_v2" "cuStreamSynchronize" "cuStreamWaitEvent"
            // cuBLAS
            "cublasCreate_v2" "cublasDestroy_v2" "cublasGemmEx" "cublasGemmStridedBatchedEx" "cublasSetStream_v2"
            "cublasSgemm_v2" "cublasSgemmStridedBatched" "cublasSgemv_v2" "cublasDgemm_v2" "cublasDgemmStridedBatched"
            "cublasDgemv_v2"
            // NVRTC
            "nvrtcCompileProgram" "nvrtcCreateProgram" "nvrtcDestroyProgram" "nvrtcGetPTX" "nvrtcGetPTXSize"
            "nvrtcGetProgramLog" "nvrtcGetProgramLogSize"
        }
    };
}

/// Nothing, where nothing is loaded.
#[cfg(not(all(feature = "cuda", target_os = "linux", target_arch = "x86_64")))]
#[doc(hidden)]
#[macro_export]
macro_rules! cuda_stubs {
    ($($name:literal)*) => {};
}

/// Functions of these names, and a slot for each.
#[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
#[doc(hidden)]
#[macro_export]
macro_rules! cuda_stubs {
    ($($name:literal)*) => {
        // SAFETY: each function jumps to an address of its own library, with the arguments where the caller put them,
        // or to one that takes none and gives an error of the library's. What is put by in between is all that may hold
        // an argument; nothing is thrown across.
        ::core::arch::global_asm!(
            $(concat!(
                ".pushsection .text.sam2unet_", $name, ", \"ax\", @progbits\n",
                ".globl ", $name, "\n",
                ".hidden ", $name, "\n",
                ".type ", $name, ", @function\n",
                $name, ":\n",
                "jmp qword ptr [rip + sam2unet_slot_", $name, "]\n",
                "sam2unet_look_up_", $name, ":\n",
                "lea r11, [rip + sam2unet_slot_", $name, "]\n",
                "jmp sam2unet_look_up\n",
                ".size ", $name, ", . - ", $name, "\n",
                ".popsection\n",
                ".pushsection .data.sam2unet_slots, \"aw\", @progbits\n",
                // a slot: the address, then the name
                ".balign 8\n",
                "sam2unet_slot_", $name, ": .quad sam2unet_look_up_", $name, "\n",
                ".asciz \"", $name, "\"\n",
                ".popsection\n",
            ),)*
            // Calls `resolve(slot, name)` with all that holds a function's arguments put by, then goes where it says.
            // As at the beginning of every function the stack is eight bytes past a multiple of 16; seven registers
            // make it one for the call.
            ".pushsection .text.sam2unet_look_up, \"ax\", @progbits",
            "sam2unet_look_up:",
            "push rdi",
            "push rsi",
            "push rdx",
            "push rcx",
            "push r8",
            "push r9",
            "push rax",
            "sub rsp, 128",
            "movups [rsp], xmm0",
            "movups [rsp + 16], xmm1",
            "movups [rsp + 32], xmm2",
            "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4",
            "movups [rsp + 80], xmm5",
            "movups [rsp + 96], xmm6",
            "movups [rsp + 112], xmm7",
            "mov rdi, r11",
            "lea rsi, [r11 + 8]",
            "call {resolve}",
            "mov r11, rax",
            "movups xmm0, [rsp]",
            "movups xmm1, [rsp + 16]",
            "movups xmm2, [rsp + 32]",
            "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]",
            "movups xmm5, [rsp + 80]",
            "movups xmm6, [rsp + 96]",
            "movups xmm7, [rsp + 112]",
            "add rsp, 128",
            "pop rax",
            "pop r9",
            "pop r8",
            "pop rcx",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            "jmp r11",
            ".popsection",
            resolve = sym $crate::kernels::cuda::libraries_resolve,
        );
    };
}
