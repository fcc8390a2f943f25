// main() of a program of its own: a BUILD file says which by KEEL_MAIN.
#include "apps/common/programs.h"

int main(int argc, char** argv) { return keel::apps::KEEL_MAIN(argc, argv); }
