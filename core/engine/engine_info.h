// What is fixed once a model is loaded, told once: as JSON to programs and as labels of metrics.
#ifndef KEEL_CORE_ENGINE_ENGINE_INFO_H_
#define KEEL_CORE_ENGINE_ENGINE_INFO_H_

#include <string>

#include "core/engine/metrics.h"
#include "core/model/model.h"
#include "core/model/options.h"

namespace keel {

// What clients call the model, the label model_name of its metrics.
std::string NameOf(const ModelOptions& options, const Model& model);

// keel_engine_info's JSON object.
std::string InfoJson(const EngineOptions& options, const Model& model);

MetricsConfig MetricsConfigOf(const EngineOptions& options, const Model& model);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_ENGINE_INFO_H_
