// The page's files, as they stand in this folder.
#ifndef KEEL_APPS_SERVER_PAGE_PAGE_FILES_H_
#define KEEL_APPS_SERVER_PAGE_PAGE_FILES_H_

#include <span>
#include <string_view>

namespace keel::apps {

struct PageFile {
  std::string_view name;  // "page.css"
  std::string_view etag;  // of its content, with quotes
  std::string_view content;
};

std::span<const PageFile> PageFiles();

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_PAGE_PAGE_FILES_H_
