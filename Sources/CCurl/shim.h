#pragma once
/* libcurl for Swift: the variadic setters and getters, one typed function for each kind of argument, and the
   kernel calls of the pull loop that Swift cannot import. No policy here. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <stdint.h>
#include <unistd.h>

static inline CURLcode rockpool_setopt_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode rockpool_setopt_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode rockpool_setopt_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode rockpool_setopt_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode rockpool_setopt_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}
typedef size_t (*rockpool_data_callback)(char *, size_t, size_t, void *);
static inline CURLcode rockpool_setopt_data(CURL *easy, CURLoption option, rockpool_data_callback value) {
    return curl_easy_setopt(easy, option, value);
}
typedef int (*rockpool_prereq_callback)(void *, char *, char *, int, int);
static inline CURLcode rockpool_setopt_prereq(CURL *easy, rockpool_prereq_callback value) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, value);
}
typedef curl_socket_t (*rockpool_open_callback)(void *, curlsocktype, struct curl_sockaddr *);
static inline CURLcode rockpool_setopt_open(CURL *easy, rockpool_open_callback value) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, value);
}
typedef int (*rockpool_close_callback)(void *, curl_socket_t);
static inline CURLcode rockpool_setopt_close(CURL *easy, rockpool_close_callback value) {
    return curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, value);
}
static inline CURLcode rockpool_getinfo_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}
static inline CURLcode rockpool_getinfo_pointer(CURL *easy, CURLINFO info, void **value) {
    return curl_easy_getinfo(easy, info, value);
}
typedef int (*rockpool_socket_callback)(CURL *, curl_socket_t, int, void *, void *);
static inline CURLMcode rockpool_multi_socket(CURLM *multi, rockpool_socket_callback value, void *user) {
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, user);
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, value);
}
typedef int (*rockpool_timer_callback)(CURLM *, long, void *);
static inline CURLMcode rockpool_multi_timer(CURLM *multi, rockpool_timer_callback value, void *user) {
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, user);
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, value);
}
static inline CURLMcode rockpool_multi_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
static inline CURLcode rockpool_message_result(const CURLMsg *message) { return message->data.result; }

/* The socket of an address that libcurl asks for, close-on-exec and non-blocking. */
static inline int rockpool_open_socket(struct curl_sockaddr *address) {
    return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}
/* The local port of a socket, or -1. */
static inline int rockpool_local_port(int fd) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0) return -1;
    const unsigned char *bytes = (const unsigned char *)&name; /* the port follows the family in both families */
    return bytes[2] << 8 | bytes[3];
}
/* The port at the other end of a socket, and its address as text; -1 where there is none. */
static inline int rockpool_peer(int fd, char *text, size_t size) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (getpeername(fd, (struct sockaddr *)&name, &length) != 0) return -1;
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&name;
        return inet_ntop(AF_INET, &four->sin_addr, text, (socklen_t)size) ? ntohs(four->sin_port) : -1;
    }
    if (name.ss_family != AF_INET6) return -1;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&name;
    return inet_ntop(AF_INET6, &six->sin6_addr, text, (socklen_t)size) ? ntohs(six->sin6_port) : -1;
}
/* Whether anything, data or the end, waits to be read. */
static inline int rockpool_has_input(int fd) {
    char byte;
    ssize_t count = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return !(count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}
static inline int rockpool_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int rockpool_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
/* Watches fd for reading and writing as asked; both 0 stops watching. */
static inline void rockpool_epoll_watch(int epoll, int fd, int reads, int writes) {
    struct epoll_event event = {.events = (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0), .data = {.fd = fd}};
    if (!reads && !writes) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
    } else if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) {
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}
/* Waits; fills fds and what each is ready for (CURL_CSELECT_*). */
static inline int rockpool_epoll_wait(int epoll, int *fds, int *ready, int count, int milliseconds) {
    struct epoll_event events[64];
    int found = epoll_wait(epoll, events, count < 64 ? count : 64, milliseconds);
    for (int i = 0; i < found; i++) {
        fds[i] = events[i].data.fd;
        ready[i] = ((events[i].events & (EPOLLIN | EPOLLHUP)) ? CURL_CSELECT_IN : 0)
            | ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0)
            | ((events[i].events & EPOLLERR) ? CURL_CSELECT_ERR : 0);
    }
    return found;
}
