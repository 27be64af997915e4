#include "CEdgeLinux.h"

#include <linux/tcp.h>

_Static_assert(offsetof(edge_tcp_info, last_data_sent) == offsetof(struct tcp_info, tcpi_last_data_sent),
               "the kernel's struct tcp_info has its times where edge_tcp_info says");
_Static_assert(offsetof(edge_tcp_info, last_data_received) == offsetof(struct tcp_info, tcpi_last_data_recv),
               "the kernel's struct tcp_info has its times where edge_tcp_info says");
_Static_assert(offsetof(edge_tcp_info, bytes_acked) == offsetof(struct tcp_info, tcpi_bytes_acked),
               "the kernel's struct tcp_info begins as edge_tcp_info says");
