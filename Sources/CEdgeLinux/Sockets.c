#include "CEdgeLinux.h"

#include <linux/tcp.h>

_Static_assert(offsetof(edge_tcp_info, bytes_acked) == offsetof(struct tcp_info, tcpi_bytes_acked),
               "the kernel's struct tcp_info begins as edge_tcp_info says");
