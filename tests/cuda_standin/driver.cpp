// The functions of the CUDA driver that cudarc calls, on host memory.
//
// It watches memory: new memory holds no number, so what is read before it is written spoils the result; around each
// allocation lies a guard that no kernel may change; a kernel's pointers must lead into living allocations.
//
// CUDA_STANDIN_CAPABILITY  compute capability to report, 8.0 if not given
// CUDA_STANDIN_MEMORY      bytes of memory, 16 GiB if not given
// CUDA_STANDIN_LOST        after so many launches the card is lost: nearly all calls give an error from then on
// CUDA_STANDIN_DRIVER      version of CUDA that the driver is for, 13000 if not given
// CUDA_STANDIN_STATS       if set, what was called, how often and for how long, at the process's end
// CUDA_STANDIN_LOG         a file that gets, at the process's end, each kernel launch, product, copy and fill, by extents,
//                          and how often it came
// CUDA_STANDIN_DRY         if set, products and kernels of more than one block are checked and counted, but not run, and
//                          memory is touched by nobody: what a large model asks for, in seconds
//
// Work on the default stream is done when its call returns. Copies on other streams are put off until somebody waits for
// them, so that who reads what was copied without having waited finds no numbers.

#include "runtime.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

namespace standin {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
};

static const char* name_of(int result) {
    switch (result) {
    case SUCCESS: return "CUDA_SUCCESS";
    case INVALID_VALUE: return "CUDA_ERROR_INVALID_VALUE";
    case OUT_OF_MEMORY: return "CUDA_ERROR_OUT_OF_MEMORY";
    case NO_DEVICE: return "CUDA_ERROR_NO_DEVICE";
    case INVALID_DEVICE: return "CUDA_ERROR_INVALID_DEVICE";
    case INVALID_IMAGE: return "CUDA_ERROR_INVALID_IMAGE";
    case NO_BINARY_FOR_GPU: return "CUDA_ERROR_NO_BINARY_FOR_GPU";
    case INVALID_PTX: return "CUDA_ERROR_INVALID_PTX";
    case NOT_FOUND: return "CUDA_ERROR_NOT_FOUND";
    case ILLEGAL_ADDRESS: return "CUDA_ERROR_ILLEGAL_ADDRESS";
    case LAUNCH_FAILED: return "CUDA_ERROR_LAUNCH_FAILED";
    default: return "CUDA_ERROR_NOT_SUPPORTED";
    }
}

static const char* setting(const char* name, const char* otherwise) {
    const char* given = std::getenv(name);
    return given ? given : otherwise;
}

// ---- counts

namespace {
struct Stats {
    std::mutex lock;
    std::map<std::string, std::pair<size_t, double>> calls;
    const bool wanted = std::getenv("CUDA_STANDIN_STATS") != nullptr;
    size_t peak = 0;
    size_t launches = 0, to_device = 0, to_device_bytes = 0, to_host = 0, to_host_bytes = 0, synchronised = 0, events = 0;

    ~Stats() {
        if (!wanted) return;
        std::vector<std::pair<double, std::string>> order;
        for (const auto& [who, call] : calls) order.push_back({-call.second, who});
        std::sort(order.begin(), order.end());
        std::fprintf(stderr,
                     "CUDA stand-in: %zu launches, %zu copies to the device (%zu bytes), %zu to the host (%zu bytes), "
                     "%zu waits for all work, %zu for an event\n",
                     launches, to_device, to_device_bytes, to_host, to_host_bytes, synchronised, events);
        std::fprintf(stderr, "CUDA stand-in: at most %zu bytes allocated; calls, seconds:\n", peak);
        for (const auto& [time, who] : order) {
            std::fprintf(stderr, "%10zu %9.3f %s\n", calls[who].first, -time, who.c_str());
        }
    }
} stats;
} // namespace

static void tell(const std::function<void(Stats&)>& change) {
    std::lock_guard<std::mutex> guard(stats.lock);
    change(stats);
}

void count(const std::string& who, double seconds) {
    if (!stats.wanted) return;
    std::lock_guard<std::mutex> guard(stats.lock);
    auto& call = stats.calls[who];
    call.first++, call.second += seconds;
}

// ---- the log

namespace {
struct Log {
    std::mutex lock;
    std::map<std::string, size_t> calls;
    const char* file = std::getenv("CUDA_STANDIN_LOG");
    const bool dry = std::getenv("CUDA_STANDIN_DRY") != nullptr;

    ~Log() {
        if (!file) return;
        std::FILE* to = std::fopen(file, "w");
        for (const auto& [call, times] : calls) {
            if (to) std::fprintf(to, "%zu %s\n", times, call.c_str());
        }
        if (!to || std::fclose(to) != 0) complain(std::string("cannot write ") + file);
    }
} log_;
} // namespace

bool logs() { return log_.file != nullptr; }
bool dry() { return log_.dry; }

void log(const std::string& call) {
    if (!log_.file) return;
    std::lock_guard<std::mutex> guard(log_.lock);
    log_.calls[call]++;
}

// ---- memory

namespace {
constexpr size_t GUARD = 256;
constexpr unsigned char UNSET = 0xff; // four of them are no number

struct Memory {
    std::mutex lock;
    std::map<uint64_t, size_t> allocations;
    size_t used = 0;
    const size_t total = std::strtoull(setting("CUDA_STANDIN_MEMORY", "17179869184"), nullptr, 10);
} memory;

size_t padded(size_t bytes) { return (bytes + GUARD - 1) / GUARD * GUARD; }

// The allocation that an address lies in or ends; null if none does.
const std::pair<const uint64_t, size_t>* allocation(uint64_t address) {
    auto after = memory.allocations.upper_bound(address);
    if (after == memory.allocations.begin()) return nullptr;
    const auto& found = *std::prev(after);
    return address <= found.first + found.second ? &found : nullptr;
}

bool guards_hold(const std::string& who, uint64_t start, size_t bytes) {
    const auto* data = reinterpret_cast<const unsigned char*>(start);
    const auto set = [](unsigned char byte) { return byte != UNSET; };
    if (std::any_of(data - GUARD, data, set)) {
        complain(who + ": numbers written before an allocation of " + std::to_string(bytes) + " bytes");
        return false;
    }
    if (std::any_of(data + bytes, data + padded(bytes) + GUARD, set)) {
        complain(who + ": numbers written past an allocation of " + std::to_string(bytes) + " bytes");
        return false;
    }
    return true;
}

int allocate(uint64_t* address, size_t bytes) {
    const size_t all = padded(bytes) + 2 * GUARD;
    std::lock_guard<std::mutex> guard(memory.lock);
    if (memory.used + bytes > memory.total) return OUT_OF_MEMORY;
    void* data = std::aligned_alloc(GUARD, all);
    if (!data) return OUT_OF_MEMORY;
    if (dry()) {
        std::memset(data, UNSET, GUARD);
        std::memset(static_cast<char*>(data) + GUARD + bytes, UNSET, all - GUARD - bytes);
    } else {
        std::memset(data, UNSET, all);
    }
    *address = reinterpret_cast<uint64_t>(data) + GUARD;
    memory.allocations[*address] = bytes;
    memory.used += bytes;
    stats.peak = std::max(stats.peak, memory.used);
    return SUCCESS;
}

int release(uint64_t address) {
    if (address == 0) return SUCCESS;
    std::lock_guard<std::mutex> guard(memory.lock);
    const auto found = memory.allocations.find(address);
    if (found == memory.allocations.end()) {
        complain("what is freed is no allocation");
        return INVALID_VALUE;
    }
    const size_t bytes = found->second;
    const bool good = guards_hold("before it was freed", address, bytes);
    memory.used -= bytes;
    memory.allocations.erase(found);
    void* data = reinterpret_cast<void*>(address - GUARD);
    if (!dry()) std::memset(data, UNSET, padded(bytes) + 2 * GUARD);
    std::free(data);
    return good ? SUCCESS : ILLEGAL_ADDRESS;
}

int copy(uint64_t to, uint64_t from, size_t bytes, bool to_device, bool from_device) {
    tell([=](Stats& s) {
        if (to_device && !from_device) s.to_device++, s.to_device_bytes += bytes;
        if (from_device && !to_device) s.to_host++, s.to_host_bytes += bytes;
    });
    if (logs()) log(std::string("copy ") + (from_device ? "d" : "h") + (to_device ? "d " : "h ") + std::to_string(bytes));
    if (to_device && !inside("a copy's target", to, bytes)) return INVALID_VALUE;
    if (from_device && !inside("a copy's source", from, bytes)) return INVALID_VALUE;
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
}

int set(uint64_t to, unsigned char byte, size_t bytes) {
    if (!inside("what is set", to, bytes)) return INVALID_VALUE;
    if (logs()) log("fill " + std::to_string(bytes));
    if (!dry() || bytes < 1 << 16) std::memset(reinterpret_cast<void*>(to), byte, bytes);
    return SUCCESS;
}
} // namespace

bool inside(const std::string& who, uint64_t address, size_t bytes) {
    std::lock_guard<std::mutex> guard(memory.lock);
    const auto* found = allocation(address);
    if (!found) {
        complain(who + ": an address in no living allocation");
        return false;
    }
    const size_t rest = found->first + found->second - address;
    if (bytes > rest) {
        complain(who + ": " + std::to_string(bytes) + " bytes where " + std::to_string(rest) + " are left");
        return false;
    }
    return true;
}

// ---- streams

namespace {
// A stream that is not the default one: what is put off, and how much of all it was told to do is done.
struct Stream {
    std::deque<std::function<int()>> waiting;
    size_t done = 0;
};
struct Event {
    Stream* stream = nullptr;
    size_t position = 0; // how much the stream must have done
};
std::recursive_mutex streams_lock;
std::set<Stream*> streams;

int finish(Stream* stream, size_t position) {
    int result = SUCCESS;
    while (stream && streams.count(stream) && stream->done < position) {
        const auto work = std::move(stream->waiting.front());
        stream->waiting.pop_front(), stream->done++;
        if (const int error = work()) result = error;
    }
    return result;
}
int finish(Stream* stream) { return stream ? finish(stream, stream->done + stream->waiting.size()) : SUCCESS; }
int finish_all() {
    int result = SUCCESS;
    for (Stream* stream : streams) {
        if (const int error = finish(stream)) result = error;
    }
    return result;
}
// Now on the default stream, later on another.
int in_order(void* stream, std::function<int()> work) {
    if (!stream) return work();
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    static_cast<Stream*>(stream)->waiting.push_back(std::move(work));
    return SUCCESS;
}
} // namespace

// ---- modules and launches

namespace {
struct Function {
    std::string name;
    const Kernel* kernel;
};
struct Module {
    std::map<std::string, Function> functions;
};

int capability() {
    int major = 8, minor = 0;
    std::sscanf(setting("CUDA_STANDIN_CAPABILITY", "8.0"), "%d.%d", &major, &minor);
    return 10 * major + minor;
}

// The kernels that PTX declares: `.entry name(`. The code itself is not read.
int load(Module** module, const char* ptx) {
    const std::string text = ptx;
    const size_t target = text.find(".target sm_");
    if (target == std::string::npos) return INVALID_PTX;
    if (std::atoi(&text[target + 11]) > capability()) return NO_BINARY_FOR_GPU;
    auto* made = new Module;
    for (size_t at = 0; (at = text.find(".entry ", at)) != std::string::npos;) {
        at += 7;
        const std::string name = text.substr(at, text.find_first_of("(\n ", at) - at);
        made->functions[name] = {name, find(name)};
    }
    *module = made;
    return SUCCESS;
}

int launch(const Function& function, dim3 grid, dim3 block, unsigned shared, void** arguments) {
    const Kernel* kernel = function.kernel;
    if (!kernel) {
        complain(function.name + ": not compiled for the host; the Makefile lists dfdx's kernels that are");
        return NOT_SUPPORTED;
    }
    const size_t threads = size_t(block.x) * block.y * block.z;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 ||
        threads == 0 || threads > 1024 || block.z > 64 || shared > SHARED_BYTES || (shared > 0 && !kernel->shared)) {
        complain(function.name + ": no card runs a grid, a block or shared memory of this size");
        return INVALID_VALUE;
    }
    std::vector<uint64_t> pointers;
    for (unsigned i = 0; i < kernel->arguments; i++) {
        if (!(kernel->pointers >> i & 1)) continue;
        uint64_t address;
        std::memcpy(&address, arguments[i], sizeof address);
        if (address == 0) continue;
        if (!inside(function.name + ", argument " + std::to_string(i), address, 0)) return ILLEGAL_ADDRESS;
        pointers.push_back(address);
    }
    const auto start = std::chrono::steady_clock::now();
    if (logs()) {
        const auto extents = [](dim3 d) { return std::to_string(d.x) + ',' + std::to_string(d.y) + ',' + std::to_string(d.z); };
        log("kernel " + function.name + ' ' + extents(grid) + ' ' + extents(block) + kernel->describe(arguments));
    }
    // what opening the GPU compares comes from single blocks
    const bool runs = !dry() || size_t(grid.x) * grid.y * grid.z == 1;
    if (runs && !run(*kernel, grid, block, shared, arguments)) return LAUNCH_FAILED;
    tell([](Stats& s) { s.launches++; });
    count(function.name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    std::lock_guard<std::mutex> guard(memory.lock);
    for (uint64_t address : pointers) {
        const auto* found = allocation(address);
        if (!guards_hold(function.name, found->first, found->second)) return ILLEGAL_ADDRESS;
    }
    return SUCCESS;
}
} // namespace

} // namespace standin

using namespace standin;

#define API extern "C" STANDIN_PUBLIC int

// One, unless CUDA_VISIBLE_DEVICES hides it as it hides real ones.
static int devices() {
    const std::string visible = setting("CUDA_VISIBLE_DEVICES", "0");
    return visible.empty() || visible[0] == '-' ? 0 : 1;
}
API cuInit(unsigned) { return devices() > 0 ? SUCCESS : NO_DEVICE; }
API cuDriverGetVersion(int* version) { return *version = std::atoi(setting("CUDA_STANDIN_DRIVER", "13000")), SUCCESS; }
API cuGetErrorName(int error, const char** text) { return *text = name_of(error), SUCCESS; }
API cuGetErrorString(int error, const char** text) { return *text = name_of(error), SUCCESS; }

API cuDeviceGetCount(int* count) { return *count = devices(), SUCCESS; }
API cuDeviceGet(int* device, int ordinal) {
    return *device = ordinal, ordinal >= 0 && ordinal < devices() ? SUCCESS : INVALID_DEVICE;
}
API cuDeviceGetName(char* name, int length, int) { return std::snprintf(name, length, "CPU stand-in"), SUCCESS; }
API cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
    for (int i = 0; i < 16; i++) uuid[i] = (unsigned char)(16 * i + device);
    return SUCCESS;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = memory.total, SUCCESS; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
    case 16: *value = 2; break; // multiprocessors
    case 75: *value = capability() / 10; break;
    case 76: *value = capability() % 10; break;
    case 97: *value = SHARED_BYTES; break; // shared memory of a block, if asked for
    case 115: *value = 1; break;           // memory pools
    default: *value = 0;
    }
    return SUCCESS;
}

// A lost card gives the same error to all that is asked of it.
static int lost() {
    static const long long after = std::atoll(setting("CUDA_STANDIN_LOST", "-1"));
    if (after < 0) return SUCCESS;
    std::lock_guard<std::mutex> guard(stats.lock);
    return stats.launches >= size_t(after) ? ILLEGAL_ADDRESS : SUCCESS;
}
#define UNLESS_LOST \
    if (const int error = lost()) return error

static int context;
API cuDevicePrimaryCtxRetain(void** made, int) { return *made = &context, SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
API cuCtxSetCurrent(void*) { return lost(); }
API cuCtxGetCurrent(void** current) { return *current = &context, SUCCESS; }
API cuCtxSynchronize() {
    UNLESS_LOST;
    tell([](Stats& s) { s.synchronised++; });
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    return finish_all();
}

API cuEventCreate(void** event, unsigned) { return *event = new Event, SUCCESS; }
API cuEventDestroy_v2(void* event) {
    delete static_cast<Event*>(event);
    return SUCCESS;
}
API cuEventRecord(void* event, void* stream) {
    UNLESS_LOST;
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    auto* behind = static_cast<Stream*>(stream);
    *static_cast<Event*>(event) = {behind, behind ? behind->done + behind->waiting.size() : 0};
    return SUCCESS;
}
API cuEventSynchronize(void* event) {
    UNLESS_LOST;
    tell([](Stats& s) { s.events++; });
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    return finish(static_cast<Event*>(event)->stream, static_cast<Event*>(event)->position);
}
API cuStreamCreate(void** stream, unsigned) {
    UNLESS_LOST;
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    return *stream = *streams.insert(new Stream).first, SUCCESS;
}
API cuStreamDestroy_v2(void* stream) {
    UNLESS_LOST;
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    const int result = finish(static_cast<Stream*>(stream));
    streams.erase(static_cast<Stream*>(stream));
    delete static_cast<Stream*>(stream);
    return result;
}
API cuStreamSynchronize(void* stream) {
    UNLESS_LOST;
    tell([](Stats& s) { s.synchronised++; });
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    return finish(static_cast<Stream*>(stream));
}
API cuStreamWaitEvent(void* stream, void* event, unsigned) {
    UNLESS_LOST;
    const Event waited = *static_cast<Event*>(event);
    std::lock_guard<std::recursive_mutex> guard(streams_lock);
    return in_order(stream, [=] { return finish(waited.stream, waited.position); });
}

API cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = &context, SUCCESS; }
API cuMemPoolSetAttribute(void*, int attribute, void*) { return attribute == 4 ? SUCCESS : NOT_SUPPORTED; }
API cuMemPoolGetAttribute(void*, int attribute, void* value) {
    if (attribute != 8) return NOT_SUPPORTED; // the most that was used
    std::lock_guard<std::mutex> guard(memory.lock);
    return *static_cast<uint64_t*>(value) = stats.peak, SUCCESS;
}

API cuMemAllocHost_v2(void** address, size_t bytes) {
    UNLESS_LOST;
    *address = std::malloc(bytes);
    if (!*address) return OUT_OF_MEMORY;
    std::memset(*address, UNSET, bytes); // what is read before it was copied there is no number
    return SUCCESS;
}
API cuMemFreeHost(void* address) {
    std::free(address);
    return SUCCESS;
}
API cuMemAlloc_v2(uint64_t* address, size_t bytes) { UNLESS_LOST; return bytes == 0 ? INVALID_VALUE : allocate(address, bytes); }
API cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { UNLESS_LOST; return allocate(address, bytes); }
API cuMemFree_v2(uint64_t address) { UNLESS_LOST; return release(address); }
API cuMemFreeAsync(uint64_t address, void*) { UNLESS_LOST; return release(address); }
API cuMemGetInfo_v2(size_t* free, size_t* total) {
    std::lock_guard<std::mutex> guard(memory.lock);
    return *total = memory.total, *free = memory.total - memory.used, SUCCESS;
}
API cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t n) { UNLESS_LOST; return copy(to, from, n, true, true); }
API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* stream) {
    UNLESS_LOST;
    return in_order(stream, [=] { return copy(to, from, n, true, true); });
}
API cuMemcpyHtoD_v2(uint64_t to, uint64_t from, size_t n) {
    UNLESS_LOST;
    tell([](Stats& s) { s.synchronised++; });
    return copy(to, from, n, true, false);
}
API cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* stream) {
    UNLESS_LOST;
    return in_order(stream, [=] { return copy(to, from, n, true, false); });
}
API cuMemcpyDtoH_v2(uint64_t to, uint64_t from, size_t n) {
    UNLESS_LOST;
    tell([](Stats& s) { s.synchronised++; });
    return copy(to, from, n, false, true);
}
API cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, size_t n, void* stream) {
    UNLESS_LOST;
    return in_order(stream, [=] { return copy(to, from, n, false, true); });
}
API cuMemsetD8_v2(uint64_t to, unsigned char byte, size_t n) { UNLESS_LOST; return set(to, byte, n); }
API cuMemsetD8Async(uint64_t to, unsigned char byte, size_t n, void*) { UNLESS_LOST; return set(to, byte, n); }

API cuModuleLoadData(void** module, const char* ptx) { UNLESS_LOST; return load(reinterpret_cast<Module**>(module), ptx); }
API cuModuleLoad(void**, const char*) { return NOT_SUPPORTED; }
API cuModuleUnload(void* module) {
    delete static_cast<Module*>(module);
    return SUCCESS;
}
API cuModuleGetFunction(void** function, void* module, const char* name) {
    auto& functions = static_cast<Module*>(module)->functions;
    const auto found = functions.find(name);
    if (found == functions.end()) return NOT_FOUND;
    *function = &found->second;
    return SUCCESS;
}
API cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** arguments, void**) {
    UNLESS_LOST;
    if (stream) { // its arguments must be read now, so it cannot be put off
        std::lock_guard<std::recursive_mutex> guard(streams_lock);
        if (const int error = finish(static_cast<Stream*>(stream))) return error;
    }
    return launch(*static_cast<Function*>(function), {gx, gy, gz}, {bx, by, bz}, shared, arguments);
}
