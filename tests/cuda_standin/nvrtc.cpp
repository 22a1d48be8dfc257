// The run-time compiler, which nothing of this crate may need: every program fails to compile.

#define API extern "C" __attribute__((visibility("default"))) int

enum { COMPILATION = 6 };

API nvrtcCreateProgram(void** program, const char*, const char*, int, const char* const*, const char* const*) {
    *program = nullptr;
    return 0;
}
API nvrtcCompileProgram(void*, int, const char* const*) { return COMPILATION; }
API nvrtcDestroyProgram(void**) { return 0; }
API nvrtcGetProgramLogSize(void*, unsigned long* size) {
    *size = 1;
    return 0;
}
API nvrtcGetProgramLog(void*, char* log) {
    *log = '\0';
    return 0;
}
API nvrtcGetPTXSize(void*, unsigned long*) { return COMPILATION; }
API nvrtcGetPTX(void*, char*) { return COMPILATION; }
extern "C" __attribute__((visibility("default"))) const char* nvrtcGetErrorString(int) {
    return "the stand-in compiles nothing at run time";
}
