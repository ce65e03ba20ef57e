// A team of threads that run one function together, with barriers inside it.
//
// A forward pass has a few hundred phases, each far shorter than waking a thread. So the team is woken once a pass, and
// its threads spin for a while between phases before they yield the core.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#define LANTU_PAUSE() __builtin_ia32_pause()
#else
#define LANTU_PAUSE() ((void)0)
#endif

namespace lantu {

class Team {
  public:
    explicit Team(int size) : size_(size) {
        for (int member = 1; member < size; member++) threads_.emplace_back([this, member] { serve(member); });
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
            round_.fetch_add(1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; spins++) relax(spins);
    }

  private:
    static constexpr int PATIENCE = 20000;  // spins before yielding the core: about 200 microseconds

    static void relax(int spins) {
        if (spins < PATIENCE)
            LANTU_PAUSE();
        else
            std::this_thread::yield();
    }

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

    const int size_;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* work_ = nullptr;
    bool closing_ = false;
    std::atomic<int> job_{0};
    std::atomic<int> arrived_{0};
    std::atomic<int> round_{0};
};

}  // namespace lantu
