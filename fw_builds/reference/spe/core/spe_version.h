/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPE_VERSION_H
#define SPE_VERSION_H

#define SPE_VERSION "1.0.0"

#endif
