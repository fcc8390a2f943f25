#include "core/plugin/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/plugin/requirements.h"
#include "sdk/abi/plugin_note.h"

namespace keel {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kHostMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kHostMachine = EM_AARCH64;
#else
#error "name this machine's ELF number"
#endif

constexpr uint64_t kPage = 4096;
constexpr size_t kMaxDynamicEntries = 4096;

// Tags of <elf.h> that some systems lack.
constexpr uint64_t kFlagPie = 0x08000000;  // DF_1_PIE

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed ELF file: ", what));
}

std::string MachineName(uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "i386";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "arm";
    case EM_AARCH64:
      return "aarch64";
    case EM_RISCV:
      return "riscv";
    default:
      return absl::StrCat("machine ", machine);
  }
}

class ElfReader {
 public:
  explicit ElfReader(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  absl::StatusOr<ElfFacts> Read() {
    KEEL_RETURN_IF_ERROR(ReadHeader());
    KEEL_RETURN_IF_ERROR(ReadSegments());
    KEEL_RETURN_IF_ERROR(ReadDynamic());
    KEEL_RETURN_IF_ERROR(ReadStrings());
    KEEL_RETURN_IF_ERROR(ReadSymbols());
    return std::move(facts_);
  }

 private:
  template <typename T>
  static absl::StatusOr<T> At(absl::Span<const uint8_t> bytes, uint64_t offset,
                              absl::string_view what) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
      return Malformed(absl::StrCat(what, " lies outside the file; it may be truncated"));
    }
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }

  absl::Status ReadHeader() {
    if (bytes_.size() < SELFMAG || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0) {
      return absl::InvalidArgumentError("not a shared library (not an ELF file)");
    }
    KEEL_ASSIGN_OR_RETURN(header_, At<Elf64_Ehdr>(bytes_, 0, "the header"));
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB) {
      return absl::InvalidArgumentError("not a 64-bit little-endian library, as this host needs");
    }
    if (header_.e_machine != kHostMachine) {
      return absl::InvalidArgumentError(absl::StrCat("built for ", MachineName(header_.e_machine),
                                                     ", this host runs on ",
                                                     MachineName(kHostMachine)));
    }
    const uint8_t os_abi = header_.e_ident[EI_OSABI];
    if (os_abi != ELFOSABI_SYSV && os_abi != ELFOSABI_GNU) {
      return absl::InvalidArgumentError(
          absl::StrCat("built for another system (ELF OS ABI ", os_abi, ")"));
    }
    if (header_.e_type != ET_DYN) {
      return absl::InvalidArgumentError("not a shared library (an object file or a program)");
    }
    if (header_.e_phentsize != sizeof(Elf64_Phdr)) return Malformed("size of a program header");
    return absl::OkStatus();
  }

  absl::Status ReadSegments() {
    facts_.has_executable_stack = true;  // unless PT_GNU_STACK says otherwise
    uint64_t mapped_end = 0;
    for (int i = 0; i < header_.e_phnum; ++i) {
      KEEL_ASSIGN_OR_RETURN(
          const Elf64_Phdr segment,
          At<Elf64_Phdr>(bytes_, header_.e_phoff + i * sizeof(Elf64_Phdr), "a program header"));
      if (segment.p_type == PT_LOAD) KEEL_RETURN_IF_ERROR(AddLoad(segment, mapped_end));
      if (segment.p_type == PT_DYNAMIC) {
        if (dynamic_address_.has_value()) return Malformed("two dynamic sections");
        dynamic_address_ = segment.p_vaddr;
      }
      if (segment.p_type == PT_NOTE) KEEL_RETURN_IF_ERROR(ReadNotes(segment));
      if (segment.p_type == PT_GNU_RELRO) facts_.has_relro = true;
      if (segment.p_type == PT_GNU_STACK) facts_.has_executable_stack = segment.p_flags & PF_X;
    }
    if (!dynamic_address_.has_value()) {
      return absl::InvalidArgumentError("not a shared library (no dynamic section)");
    }
    return absl::OkStatus();
  }

  absl::Status AddLoad(const Elf64_Phdr& segment, uint64_t& mapped_end) {
    if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset) {
      return Malformed("a segment lies outside the file; it may be truncated");
    }
    constexpr uint64_t kMaxAddress = uint64_t{1} << 40;
    if (segment.p_vaddr > kMaxAddress || segment.p_memsz > kMaxAddress ||
        segment.p_filesz > segment.p_memsz) {
      return Malformed("size of a segment");
    }
    // Segments that overlap would show the dynamic linker other bytes than we read.
    if (segment.p_vaddr / kPage * kPage < mapped_end) return Malformed("segments overlap");
    mapped_end = (segment.p_vaddr + segment.p_memsz + kPage - 1) / kPage * kPage;
    if ((segment.p_flags & PF_W) && (segment.p_flags & PF_X)) facts_.has_writable_code = true;
    loads_.push_back(segment);
    return absl::OkStatus();
  }

  absl::Status ReadNotes(const Elf64_Phdr& segment) {
    if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset) {
      return Malformed("the notes lie outside the file; it may be truncated");
    }
    const absl::Span<const uint8_t> notes = bytes_.subspan(segment.p_offset, segment.p_filesz);
    const uint64_t align = segment.p_align == 8 ? 8 : 4;
    const auto aligned = [align](uint64_t n) { return (n + align - 1) / align * align; };
    uint64_t offset = 0;
    while (notes.size() - offset >= sizeof(Elf64_Nhdr)) {
      KEEL_ASSIGN_OR_RETURN(const Elf64_Nhdr note, At<Elf64_Nhdr>(notes, offset, "a note"));
      const uint64_t owner = offset + sizeof(Elf64_Nhdr);
      const uint64_t content = aligned(owner + note.n_namesz);
      const uint64_t end = content + note.n_descsz;
      if (content > notes.size() || end > notes.size()) return Malformed("size of a note");
      if (note.n_type == KEEL_NOTE_TYPE && note.n_namesz == sizeof(KEEL_NOTE_OWNER) &&
          std::memcmp(notes.data() + owner, KEEL_NOTE_OWNER, sizeof(KEEL_NOTE_OWNER)) == 0) {
        if (facts_.note.has_value()) {
          return absl::InvalidArgumentError(
              Breaks(6, "has two Keel notes; write KEEL_PLUGIN in one source file only"));
        }
        facts_.note.emplace(reinterpret_cast<const char*>(notes.data()) + content, note.n_descsz);
      }
      offset = std::min<uint64_t>(aligned(end), notes.size());
    }
    return absl::OkStatus();
  }

  // The file's bytes from `address` on, to the end of what its segment takes from the file.
  absl::StatusOr<absl::Span<const uint8_t>> Mapped(uint64_t address, absl::string_view what) const {
    for (const Elf64_Phdr& load : loads_) {
      if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz) {
        const uint64_t skip = address - load.p_vaddr;
        return bytes_.subspan(load.p_offset + skip, load.p_filesz - skip);
      }
    }
    return Malformed(absl::StrCat(what, " lies in no segment"));
  }

  absl::Status ReadDynamic() {
    KEEL_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> table,
                          Mapped(*dynamic_address_, "the dynamic section"));
    for (size_t i = 0; i < kMaxDynamicEntries; ++i) {
      KEEL_ASSIGN_OR_RETURN(const Elf64_Dyn entry, At<Elf64_Dyn>(table, i * sizeof(Elf64_Dyn),
                                                                 "the end of the dynamic section"));
      if (entry.d_tag == DT_NULL) return absl::OkStatus();
      if (entry.d_tag == DT_NEEDED) {
        needed_.push_back(entry.d_un.d_val);
      } else if (!dynamic_.emplace(entry.d_tag, entry.d_un.d_val).second) {
        return Malformed(absl::StrFormat("dynamic entry %#x is there twice", entry.d_tag));
      }
    }
    return Malformed("too many dynamic entries");
  }

  std::optional<uint64_t> Dynamic(int64_t tag) const {
    const auto it = dynamic_.find(tag);
    return it == dynamic_.end() ? std::nullopt : std::optional<uint64_t>(it->second);
  }

  absl::StatusOr<std::string> String(uint64_t offset) const {
    if (offset >= strings_.size()) return Malformed("a name lies outside the string table");
    const auto begin = strings_.begin() + static_cast<ptrdiff_t>(offset);
    const auto end = std::find(begin, strings_.end(), 0);
    if (end == strings_.end()) return Malformed("a name in the string table does not end");
    return std::string(begin, end);
  }

  absl::Status ReadStrings() {
    const std::optional<uint64_t> table = Dynamic(DT_STRTAB);
    const std::optional<uint64_t> size = Dynamic(DT_STRSZ);
    if (!table.has_value() || !size.has_value()) return Malformed("no string table");
    KEEL_ASSIGN_OR_RETURN(strings_, Mapped(*table, "the string table"));
    if (*size > strings_.size()) return Malformed("size of the string table");
    strings_ = strings_.subspan(0, *size);

    for (const uint64_t offset : needed_) {
      KEEL_ASSIGN_OR_RETURN(facts_.needed.emplace_back(), String(offset));
    }
    for (const int64_t tag : {DT_RPATH, DT_RUNPATH}) {
      if (!Dynamic(tag).has_value()) continue;
      KEEL_ASSIGN_OR_RETURN(facts_.search_paths.emplace_back(), String(*Dynamic(tag)));
    }
    for (const int64_t tag : {DT_FILTER, DT_AUXILIARY, DT_AUDIT, DT_DEPAUDIT}) {
      if (!Dynamic(tag).has_value()) continue;
      KEEL_ASSIGN_OR_RETURN(facts_.loads_besides.emplace_back(), String(*Dynamic(tag)));
    }
    const uint64_t flags = Dynamic(DT_FLAGS).value_or(0);
    const uint64_t flags_1 = Dynamic(DT_FLAGS_1).value_or(0);
    facts_.has_text_relocations = Dynamic(DT_TEXTREL).has_value() || (flags & DF_TEXTREL);
    facts_.has_static_tls = flags & DF_STATIC_TLS;
    facts_.binds_now =
        Dynamic(DT_BIND_NOW).has_value() || (flags & DF_BIND_NOW) || (flags_1 & DF_1_NOW);
    facts_.never_unloads = flags_1 & DF_1_NODELETE;
    facts_.is_executable = flags_1 & kFlagPie;
    return absl::OkStatus();
  }

  // The number of dynamic symbols, which only the hash tables tell: the linker finds a symbol
  // through them and through nothing else.
  absl::StatusOr<uint64_t> CountSymbols() const {
    if (const std::optional<uint64_t> address = Dynamic(DT_GNU_HASH)) return CountGnuHash(*address);
    if (const std::optional<uint64_t> address = Dynamic(DT_HASH)) {
      KEEL_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> table, Mapped(*address, "DT_HASH"));
      KEEL_ASSIGN_OR_RETURN(const uint32_t chains, At<uint32_t>(table, 4, "DT_HASH"));
      return chains;
    }
    return Malformed("no symbol hash table");
  }

  absl::StatusOr<uint64_t> CountGnuHash(uint64_t address) const {
    constexpr absl::string_view kWhat = "DT_GNU_HASH";
    KEEL_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> table, Mapped(address, kWhat));
    struct Header {
      uint32_t buckets, first_symbol, bloom_words, bloom_shift;
    };
    KEEL_ASSIGN_OR_RETURN(const Header header, At<Header>(table, 0, kWhat));
    const uint64_t buckets = sizeof(Header) + uint64_t{8} * header.bloom_words;
    const uint64_t chains = buckets + uint64_t{4} * header.buckets;
    uint64_t last = 0;
    for (uint64_t i = 0; i < header.buckets; ++i) {
      KEEL_ASSIGN_OR_RETURN(const uint32_t symbol, At<uint32_t>(table, buckets + 4 * i, kWhat));
      last = std::max<uint64_t>(last, symbol);
    }
    if (last == 0) return 0;  // all buckets empty: no symbol can be found
    if (last < header.first_symbol) return Malformed("a bucket of DT_GNU_HASH");
    while (true) {  // the last chain ends at an odd hash
      KEEL_ASSIGN_OR_RETURN(const uint32_t hash,
                            At<uint32_t>(table, chains + 4 * (last - header.first_symbol), kWhat));
      ++last;
      if (hash & 1) return last;
    }
  }

  absl::Status ReadSymbols() {
    const std::optional<uint64_t> address = Dynamic(DT_SYMTAB);
    if (!address.has_value()) return Malformed("no symbol table");
    KEEL_ASSIGN_OR_RETURN(const uint64_t count, CountSymbols());
    KEEL_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> table,
                          Mapped(*address, "the symbol table"));
    for (uint64_t i = 0; i < count; ++i) {
      KEEL_ASSIGN_OR_RETURN(const Elf64_Sym symbol,
                            At<Elf64_Sym>(table, i * sizeof(Elf64_Sym), "a symbol"));
      if (symbol.st_shndx == SHN_UNDEF) continue;
      const int bind = ELF64_ST_BIND(symbol.st_info);
      const int visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      if (bind == STB_LOCAL || visibility == STV_HIDDEN || visibility == STV_INTERNAL) continue;
      if (bind == STB_GNU_UNIQUE) facts_.has_unique_symbols = true;
      KEEL_ASSIGN_OR_RETURN(facts_.exports.emplace_back(), String(symbol.st_name));
    }
    std::sort(facts_.exports.begin(), facts_.exports.end());
    return absl::OkStatus();
  }

  const absl::Span<const uint8_t> bytes_;
  Elf64_Ehdr header_ = {};
  std::vector<Elf64_Phdr> loads_;
  std::optional<uint64_t> dynamic_address_;
  std::map<int64_t, uint64_t> dynamic_;  // all but DT_NEEDED
  std::vector<uint64_t> needed_;
  absl::Span<const uint8_t> strings_;
  ElfFacts facts_;
};

}  // namespace

absl::StatusOr<ElfFacts> ReadElf(absl::Span<const uint8_t> bytes) {
  return ElfReader(bytes).Read();
}

}  // namespace keel
