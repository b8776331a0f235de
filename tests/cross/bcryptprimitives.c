// Gives Wine the one function of bcryptprimitives.dll that Rust's standard library starts with.
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length) {
  for (; length; bytes++, length--)
    if (!SystemFunction036(bytes, 1)) return FALSE;
  return TRUE;
}
