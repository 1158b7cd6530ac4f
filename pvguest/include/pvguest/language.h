/*
 * What C and C++ say differently: declarations of C, for both.
 */
#ifndef PVGUEST_LANGUAGE_H
#define PVGUEST_LANGUAGE_H

#ifdef __cplusplus
#define PVG_BEGIN    extern "C" {
#define PVG_END	     }
#define PVG_NORETURN [[noreturn]]
#define PVG_RESTRICT __restrict
#else
#define PVG_BEGIN
#define PVG_END
#define PVG_NORETURN _Noreturn
#define PVG_RESTRICT restrict
#endif

#endif
