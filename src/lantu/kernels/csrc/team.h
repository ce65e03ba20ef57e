// A team of threads that run one function together, with barriers inside it.
//
// A forward pass has a few hundred phases, each far shorter than waking a thread. So the team is woken once a pass, and
// its threads spin for a while between phases. Where other programs want the cores, too, a member that still waits then
// sleeps until the last one arrives: spinning on, or yielding in turns, would keep that one from its core.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__) || defined(__i386__)
#define LANTU_PAUSE() __builtin_ia32_pause()
#else
#define LANTU_PAUSE() ((void)0)
#endif

namespace lantu {

class Team {
  public:
    // At most so many members: a system that limits threads may refuse to start some, and the others do the work.
    explicit Team(int most) {
        threads_.reserve(most);
        try {
            for (int member = 1; member < most; member++) threads_.emplace_back([this, member] { serve(member); });
        } catch (const std::system_error&) {
        }
        size_ = (int)threads_.size() + 1;  // members read it after the first job has begun
    }

    ~Team() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            closing_ = true;
            job_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    int size() const { return size_; }

    // Call work(member) on every member; the caller is member 0. Returns when all are done.
    void run(const std::function<void(int)>& work) {
        if (size_ > 1) {
            {
                std::lock_guard<std::mutex> lock(mutex_);
                work_ = &work;
                job_.fetch_add(1, std::memory_order_release);
            }
            wake_.notify_all();
        }
        work(0);
        barrier();
    }

    // Wait for all members.
    void barrier() {
        if (size_ == 1) return;
        const int round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.fetch_add(1, std::memory_order_seq_cst);
            if (asleep_.load(std::memory_order_seq_cst)) wake_sleepers();
            return;
        }
        for (int spins = 0; spins < PATIENCE; spins++) {
            if (round_.load(std::memory_order_acquire) != round) return;
            LANTU_PAUSE();
        }
        asleep_.fetch_add(1, std::memory_order_seq_cst);
        while (round_.load(std::memory_order_seq_cst) == round) sleep_in(round);
        asleep_.fetch_sub(1, std::memory_order_relaxed);
    }

  private:
    static constexpr int PATIENCE = 20000;  // spins before sleeping: about 200 microseconds

#ifdef __linux__
    static_assert(sizeof(std::atomic<int>) == sizeof(int), "a futex is a plain int");

    // Sleep while the round is still this one.
    void sleep_in(int round) { syscall(SYS_futex, &round_, FUTEX_WAIT_PRIVATE, round, nullptr, nullptr, 0); }

    void wake_sleepers() { syscall(SYS_futex, &round_, FUTEX_WAKE_PRIVATE, size_, nullptr, nullptr, 0); }
#else
    void sleep_in(int) { std::this_thread::yield(); }

    void wake_sleepers() {}
#endif

    void serve(int member) {
        int seen = 0;
        for (;;) {
            for (int spins = 0; spins < PATIENCE && job_.load(std::memory_order_acquire) == seen; spins++) LANTU_PAUSE();
            const std::function<void(int)>* work;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen; });
                seen = job_.load(std::memory_order_relaxed);
                if (closing_) return;
                work = work_;
            }
            (*work)(member);
            barrier();
        }
    }

    int size_ = 1;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* work_ = nullptr;
    bool closing_ = false;
    std::atomic<int> job_{0};
    std::atomic<int> arrived_{0};
    std::atomic<int> round_{0};
    std::atomic<int> asleep_{0};
};

}  // namespace lantu
