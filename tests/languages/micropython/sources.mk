# Gathers MicroPython's sources and makes its tables for `mpconfigport.h`: MICROPYTHON_TOP says where it is.
SRC_QSTR = extmod/modjson.c extmod/modre.c extmod/modheapq.c extmod/modbinascii.c extmod/modrandom.c
include $(MICROPYTHON_TOP)/ports/embed/embed.mk
