// What the libraries of the stand-in share.
#pragma once
#include "include/standin.h"
#include <functional>
#include <string>

#define STANDIN_PUBLIC __attribute__((visibility("default")))

namespace standin {

// Says on the standard error stream what went wrong.
STANDIN_PUBLIC void complain(const std::string& what);

// Calls `job` with 0..count on the pool's threads and this one, in any order.
STANDIN_PUBLIC void parallel(size_t count, const std::function<void(size_t)>& job);

// Whether `bytes` from `address` on lie in one living allocation; complains if not.
STANDIN_PUBLIC bool inside(const std::string& who, uint64_t address, size_t bytes);

// Counts a call for CUDA_STANDIN_STATS.
STANDIN_PUBLIC void count(const std::string& who, double seconds);

// Whether calls are logged, and whether they are left undone (CUDA_STANDIN_LOG, CUDA_STANDIN_DRY).
STANDIN_PUBLIC bool logs();
STANDIN_PUBLIC bool dry();
STANDIN_PUBLIC void log(const std::string& call);

const Kernel* find(const std::string& name);

// Runs a kernel over its grid; false, with a complaint, when its threads wait for each other for ever or write past
// their shared memory.
bool run(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void** arguments);

} // namespace standin
