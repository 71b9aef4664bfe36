/* A device for benchmarks: prints its port and answers every request of 12 bytes with 125 registers, all of one
 * connection with one write; the registers are others each time. Nothing is checked, so that what is measured is the
 * client. Ends with its input. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REGISTERS = 125, REQUEST = 12, REPLY = 9 + 2 * REGISTERS, AT_ONCE = 64, SOCKETS_MAX = 4096 };

static unsigned char pending[SOCKETS_MAX][REQUEST];
static int pending_bytes[SOCKETS_MAX];

static unsigned char noise;

static int take(int link) {
    unsigned char in[REQUEST * AT_ONCE + REQUEST], out[(AT_ONCE + 1) * REPLY];
    int have = pending_bytes[link], replies = 0;
    memcpy(in, pending[link], have);
    int got = read(link, in + have, REQUEST * AT_ONCE);
    if (got <= 0) return -1;
    have += got;
    unsigned char *request = in;
    for (; have >= REQUEST; have -= REQUEST, request += REQUEST) {
        unsigned char *reply = out + REPLY * replies++;
        memcpy(reply, request, 4);
        reply[4] = 0, reply[5] = 3 + 2 * REGISTERS, reply[6] = request[6], reply[7] = request[7];
        reply[8] = 2 * REGISTERS;
        for (int n = 0; n < REGISTERS; n++) reply[9 + 2 * n] = 12, reply[10 + 2 * n] = noise;
        noise++;
    }
    memcpy(pending[link], request, have);
    pending_bytes[link] = have;
    return replies && write(link, out, REPLY * replies) != REPLY * replies ? -1 : 0;
}

static void watch(int poll, int what) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = what};
    epoll_ctl(poll, EPOLL_CTL_ADD, what, &event);
}

int main(void) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), at_once = 1;
    if (bind(listener, (struct sockaddr *)&place, size) || listen(listener, 256)) return 1;
    getsockname(listener, (struct sockaddr *)&place, &size);
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    watch(poll, listener);
    watch(poll, 0);
    for (;;) {
        struct epoll_event events[AT_ONCE];
        int count = epoll_wait(poll, events, AT_ONCE, -1);
        for (int n = 0; n < count; n++) {
            int link = events[n].data.fd;
            if (link == 0) return 0;
            if (link == listener) {
                link = accept(listener, 0, 0);
                setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
                if (link >= SOCKETS_MAX) return 1;
                pending_bytes[link] = 0;
                watch(poll, link);
            } else if (take(link)) {
                close(link);
            }
        }
    }
}
