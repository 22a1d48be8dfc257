// Runs kernels: blocks on a few threads of the operating system, the threads of a block as fibers of one of them.
//
// A fiber runs one thread of the block after another for as long as none waits, so a kernel without barriers is a plain
// loop. A thread that waits keeps its fiber, and another fiber goes on with the next thread.
//
// CUDA_STANDIN_REVERSE=1 takes blocks and threads from the last to the first: a result that changes is a missing barrier.

#include "runtime.h"
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <sys/mman.h>
#include <thread>
#include <vector>

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

namespace standin {

void complain(const std::string& what) { std::fprintf(stderr, "CUDA stand-in: %s\n", what.c_str()); }

// ---- kernels by name

static std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

void enlist(const Kernel& kernel) { kernels()[kernel.name] = kernel; }

const Kernel* find(const std::string& name) {
    const auto found = kernels().find(name);
    return found == kernels().end() ? nullptr : &found->second;
}

// ---- fibers

#ifndef __x86_64__
#error "the stand-in switches stacks on x86-64 only"
#endif

// Saves the callee's registers and the stack pointer, and goes on where `to` was saved.
extern "C" void standin_switch(void** save, void* to);
asm(R"(
.text
.globl standin_switch
.hidden standin_switch
standin_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

static void fiber_main();

struct Fiber {
    static constexpr size_t STACK = 256 * 1024;
    char* stack;
    void* saved;
    // The thread of the block that it runs.
    unsigned thread = 0;

    Fiber() {
        void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            complain("no memory for a fiber's stack");
            std::abort();
        }
        stack = static_cast<char*>(memory);
        // as if `fiber_main` had been called: six registers, then where to go on, then a return address that none uses
        void** top = reinterpret_cast<void**>(stack + STACK) - 8;
        std::fill(top, top + 8, nullptr);
        top[6] = reinterpret_cast<void*>(fiber_main);
        saved = top;
    }
    ~Fiber() { munmap(stack, STACK); }
    Fiber(const Fiber&) = delete;
};

// ---- one block

struct Warp {
    unsigned existing, finished, arrived;
    const void* kind; // of the exchange that lanes have arrived at
    Fiber* waiting[32];
    uint64_t value[32], result[32];
    unsigned source[32];
};

struct Engine {
    const Kernel* kernel = nullptr;
    void** arguments = nullptr;
    bool reverse = false, failed = false;
    unsigned threads = 0, next = 0, alive = 0;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle, at_barrier;
    std::deque<Fiber*> ready;
    Warp warps[32];
    Fiber* current = nullptr;
    void* outside = nullptr;

    bool run_block(const Kernel& which, void** with, bool backwards);
    void resume(Fiber* fiber);
    void wait();
    [[noreturn]] void fail(const std::string& why);
    void release_barrier();
};

static thread_local Engine engine;

static void set_thread_index(unsigned thread) {
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / blockDim.x / blockDim.y;
}

static void fiber_main() {
    for (;;) {
        engine.kernel->run(engine.arguments);
        engine.idle.push_back(engine.current);
        standin_switch(&engine.current->saved, engine.outside);
    }
}

void Engine::resume(Fiber* fiber) {
    current = fiber;
    standin_switch(&outside, fiber->saved);
}

// The current thread waits: others go on until something puts its fiber among the ready.
void Engine::wait() {
    Fiber* me = current;
    standin_switch(&me->saved, outside);
    set_thread_index(me->thread);
}

void Engine::fail(const std::string& why) {
    complain(std::string(kernel->name) + ": " + why);
    failed = true;
    void* never;
    standin_switch(&never, outside);
    __builtin_unreachable();
}

bool Engine::run_block(const Kernel& which, void** with, bool backwards) {
    kernel = &which, arguments = with, reverse = backwards, failed = false;
    threads = alive = blockDim.x * blockDim.y * blockDim.z;
    next = 0;
    for (unsigned warp = 0; 32 * warp < threads; warp++) {
        const unsigned lanes = min(threads - 32 * warp, 32u);
        warps[warp].existing = lanes == 32 ? ~0u : (1u << lanes) - 1;
        warps[warp].finished = warps[warp].arrived = 0;
    }
    while (!failed) {
        Fiber* fiber;
        if (!ready.empty()) {
            fiber = ready.front();
            ready.pop_front();
        } else if (next < threads) {
            if (idle.empty()) {
                fibers.push_back(std::make_unique<Fiber>());
                idle.push_back(fibers.back().get());
            }
            fiber = idle.back();
            idle.pop_back();
        } else {
            break;
        }
        resume(fiber);
    }
    if (!failed && alive > 0) {
        complain(std::string(kernel->name) + ": " + std::to_string(alive) + " threads wait for others that never come");
        failed = true;
    }
    if (failed) {
        ready.clear(), at_barrier.clear(), idle.clear(), fibers.clear();
    }
    return !failed;
}

bool next_thread() {
    Engine& e = engine;
    if (e.next == e.threads) return false;
    const unsigned thread = e.reverse ? e.threads - 1 - e.next : e.next;
    e.next++;
    e.current->thread = thread;
    if (blockDim.x == e.threads) {
        threadIdx = {thread, 0, 0};
    } else {
        set_thread_index(thread);
    }
    return true;
}

void finish_thread() {
    Engine& e = engine;
    const unsigned thread = e.current->thread;
    e.warps[thread / 32].finished |= 1u << thread % 32;
    e.alive--;
    if (!e.at_barrier.empty() && e.at_barrier.size() == e.alive) e.release_barrier();
}

void Engine::release_barrier() {
    ready.insert(ready.end(), at_barrier.begin(), at_barrier.end());
    at_barrier.clear();
}

void block_barrier() {
    Engine& e = engine;
    if (e.at_barrier.size() + 1 == e.alive) {
        e.release_barrier();
        return;
    }
    e.at_barrier.push_back(e.current);
    e.wait();
}

unsigned lane() { return engine.current->thread % 32; }

void fail(const char* why) { engine.fail(why); }

// Puts down what the current lane gives. The last of the lanes hands out the results and goes on; the others wait.
template <class HandOut>
static void meet(const void* kind, unsigned mask, uint64_t value, unsigned source, HandOut hand_out) {
    Engine& e = engine;
    const unsigned me = lane();
    Warp& warp = e.warps[e.current->thread / 32];
    const unsigned needed = mask & warp.existing;
    if (!(needed >> me & 1)) e.fail("a lane takes part in an exchange whose mask leaves it out");
    if (needed & warp.finished) e.fail("an exchange waits for a lane that has finished");
    if (!(warp.arrived & needed)) warp.kind = kind;
    if (warp.kind != kind) e.fail("the lanes of a warp are at exchanges of different kinds");
    warp.value[me] = value;
    warp.source[me] = source;
    warp.waiting[me] = e.current;
    warp.arrived |= 1u << me;
    if ((warp.arrived & needed) != needed) {
        e.wait();
        return;
    }
    warp.arrived &= ~needed;
    static const bool ahead = std::getenv("CUDA_STANDIN_AHEAD") != nullptr;
    Fiber* others[32];
    unsigned count = 0;
    for (unsigned l = 0; l < 32; l++) {
        if (!(needed >> l & 1)) continue;
        hand_out(warp, needed, l);
        if (l != me) others[count++] = warp.waiting[l];
    }
    e.ready.insert(ahead ? e.ready.begin() : e.ready.end(), others, others + count);
}

uint64_t exchange(unsigned mask, uint64_t value, unsigned source) {
    const unsigned me = lane();
    Warp& warp = engine.warps[engine.current->thread / 32];
    static const char shuffle = 0;
    meet(&shuffle, mask, value, source, [](Warp& warp, unsigned needed, unsigned l) {
        // a lane that takes no part gives an undefined number: one that spoils the result
        const bool there = needed >> warp.source[l] & 1;
        warp.result[l] = there ? warp.value[warp.source[l]] : ~uint64_t(0);
    });
    return warp.result[me];
}

unsigned ballot(unsigned mask, bool value) {
    const unsigned me = lane();
    Warp& warp = engine.warps[engine.current->thread / 32];
    static const char vote = 0;
    meet(&vote, mask, value, me, [](Warp& warp, unsigned needed, unsigned l) {
        warp.result[l] = 0;
        for (unsigned k = 0; k < 32; k++) warp.result[l] |= uint64_t(needed >> k & 1 && warp.value[k]) << k;
    });
    return unsigned(warp.result[me]);
}

void together(void* mine, void (*work)(void* const lanes[32])) {
    static thread_local void (*what)(void* const lanes[32]);
    Warp& warp = engine.warps[engine.current->thread / 32];
    if (warp.existing != ~0u) engine.fail("a product of a warp that has not 32 lanes");
    what = work;
    meet(reinterpret_cast<const void*>(work), ~0u, reinterpret_cast<uint64_t>(mine), lane(), [](Warp& warp, unsigned, unsigned l) {
        if (l != 0) return;
        void* lanes[32];
        for (unsigned k = 0; k < 32; k++) {
            lanes[k] = reinterpret_cast<void*>(warp.value[k]);
        }
        what(lanes);
    });
}

// ---- the pool

namespace {

struct Pool {
    std::mutex busy, lock;
    std::condition_variable wake, rest;
    const std::function<void(size_t)>* job = nullptr;
    size_t count = 0, running = 0, round = 0;
    std::atomic<size_t> taken{0};
    size_t helpers = max(1u, min(std::thread::hardware_concurrency(), 16u)) - 1;

    Pool() {
        for (size_t i = 0; i < helpers; i++) std::thread([this] { help(); }).detach();
    }

    void help() {
        size_t seen = 0;
        for (;;) {
            std::unique_lock<std::mutex> guard(lock);
            wake.wait(guard, [&] { return round != seen; });
            seen = round;
            guard.unlock();
            work();
            guard.lock();
            if (--running == 0) rest.notify_one();
        }
    }

    void work() {
        for (size_t i; (i = taken.fetch_add(1)) < count;) (*job)(i);
    }

    void run(size_t n, const std::function<void(size_t)>& what) {
        {
            std::lock_guard<std::mutex> guard(lock);
            job = &what, count = n, running = helpers, taken = 0, round++;
        }
        wake.notify_all();
        work();
        std::unique_lock<std::mutex> guard(lock);
        rest.wait(guard, [&] { return running == 0; });
    }
};

} // namespace

void parallel(size_t count, const std::function<void(size_t)>& job) {
    static Pool& pool = *new Pool; // its threads outlive all others
    std::unique_lock<std::mutex> mine(pool.busy, std::try_to_lock);
    if (count > 1 && mine.owns_lock()) return pool.run(count, job);
    for (size_t i = 0; i < count; i++) job(i);
}

// ---- a grid

bool run(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void** arguments) {
    static const bool reverse = std::getenv("CUDA_STANDIN_REVERSE") != nullptr;
    const size_t blocks = size_t(grid.x) * grid.y * grid.z, threads = size_t(block.x) * block.y * block.z;
    std::atomic<bool> failed{false};
    const auto run_one = [&](size_t index) {
        if (failed) return;
        if (reverse) index = blocks - 1 - index;
        gridDim = grid, blockDim = block;
        blockIdx = {unsigned(index % grid.x), unsigned(index / grid.x % grid.y), unsigned(index / grid.x / grid.y)};
        // all bits set are no number: what a block reads before it has written it spoils the result
        auto* memory = kernel.shared ? static_cast<unsigned char*>(kernel.shared()) : nullptr;
        if (memory) std::memset(memory, 0xff, shared + SHARED_GUARD);
        if (!engine.run_block(kernel, arguments, reverse)) failed = true;
        for (size_t i = 0; memory && i < SHARED_GUARD; i++) {
            if (memory[shared + i] == 0xff) continue;
            if (!failed.exchange(true)) complain(std::string(kernel.name) + ": writes past its dynamic shared memory");
            break;
        }
    };
    // a share is worth waking a thread for
    const size_t share = max(size_t(1), 4096 / threads);
    parallel((blocks + share - 1) / share, [&](size_t part) {
        for (size_t i = part * share; i < min((part + 1) * share, blocks); i++) run_one(i);
    });
    return !failed;
}

} // namespace standin
