#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/parallel/collectives.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using Tensors = std::vector<at::Tensor>;

// Where the ranks meet: each brings a tensor, the last to come makes the result for all.
class Meeting {
 public:
  explicit Meeting(int ranks) : ranks_(ranks), tensors_(ranks) {}

  int ranks() const { return ranks_; }

  absl::StatusOr<at::Tensor> Meet(int rank, const at::Tensor& tensor,
                                  const std::function<at::Tensor(const Tensors&)>& combine) {
    absl::MutexLock lock(&mutex_);
    const int64_t round = round_;
    tensors_[rank] = tensor;
    if (++arrived_ == ranks_) {
      absl::StatusOr<at::Tensor> result = CatchAten([&] { return combine(tensors_); });
      if (!result.ok() && error_.ok()) error_ = result.status();
      result_ = result.ok() ? *std::move(result) : at::Tensor();
      tensors_.assign(ranks_, at::Tensor());
      arrived_ = 0;
      ++round_;
    } else {
      const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return round_ != round || !error_.ok();
      };
      mutex_.Await(absl::Condition(&done));
    }
    if (!error_.ok()) return error_;
    return result_;  // nobody begins the next round's result before all have met again
  }

  absl::Status Send(int from, int to, const at::Tensor& tensor) {
    absl::MutexLock lock(&mutex_);
    if (error_.ok()) mail_[{from, to}].push_back(tensor);
    return error_;
  }

  absl::StatusOr<at::Tensor> Receive(int from, int to) {
    absl::MutexLock lock(&mutex_);
    std::deque<at::Tensor>& box = mail_[{from, to}];  // std::map keeps it in place
    const auto here = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !box.empty() || !error_.ok();
    };
    mutex_.Await(absl::Condition(&here));
    if (!error_.ok()) return error_;
    at::Tensor tensor = std::move(box.front());
    box.pop_front();
    return tensor;
  }

  void Abort(const absl::Status& error) {
    absl::MutexLock lock(&mutex_);
    if (error_.ok()) error_ = error;
  }

 private:
  const int ranks_;
  absl::Mutex mutex_;
  Tensors tensors_ ABSL_GUARDED_BY(mutex_);
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  at::Tensor result_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<int, int>, std::deque<at::Tensor>> mail_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

class ThreadCollectives : public Collectives {
 public:
  ThreadCollectives(std::shared_ptr<Meeting> meeting, int rank)
      : meeting_(std::move(meeting)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return meeting_->ranks(); }

  absl::StatusOr<at::Tensor> AllReduce(const at::Tensor& tensor) override {
    return meeting_->Meet(rank_, tensor, [](const Tensors& tensors) {
      at::Tensor sum = tensors[0];
      for (size_t i = 1; i < tensors.size(); ++i) {
        TORCH_CHECK(tensors[i].sizes() == sum.sizes(), "all_reduce of ", sum.sizes(), " and ",
                    tensors[i].sizes());
        sum = sum + tensors[i];
      }
      return sum;
    });
  }

  absl::StatusOr<at::Tensor> AllGather(const at::Tensor& tensor, int64_t dim) override {
    return meeting_->Meet(rank_, tensor,
                          [dim](const Tensors& tensors) { return at::cat(tensors, dim); });
  }

  absl::StatusOr<at::Tensor> Broadcast(const at::Tensor& tensor, int root) override {
    if (root < 0 || root >= size()) {
      return absl::InvalidArgumentError(absl::StrCat("broadcast from rank ", root, " of ", size()));
    }
    return meeting_->Meet(rank_, tensor, [root](const Tensors& tensors) { return tensors[root]; });
  }

  absl::Status Send(const at::Tensor& tensor, int to) override {
    if (to < 0 || to >= size() || to == rank_)
      return absl::InvalidArgumentError(absl::StrCat("send to rank ", to, " of ", size()));
    return meeting_->Send(rank_, to, tensor);
  }

  absl::StatusOr<at::Tensor> Receive(int from) override {
    if (from < 0 || from >= size() || from == rank_)
      return absl::InvalidArgumentError(absl::StrCat("receive from rank ", from, " of ", size()));
    return meeting_->Receive(from, rank_);
  }

  void Abort(const absl::Status& error) override { meeting_->Abort(error); }

 private:
  const std::shared_ptr<Meeting> meeting_;
  const int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Collectives>> MakeThreadCollectives(int ranks) {
  auto meeting = std::make_shared<Meeting>(ranks);
  std::vector<std::unique_ptr<Collectives>> out;
  for (int rank = 0; rank < ranks; ++rank) {
    out.push_back(std::make_unique<ThreadCollectives>(meeting, rank));
  }
  return out;
}

}  // namespace keel
