/* Option structs are base/options.h: recipes, which know base and the public API only, have some, too. */
#ifndef ETCD__CLIENT_OPTIONS_H
#define ETCD__CLIENT_OPTIONS_H

#include "base/options.h"

#endif
