/* What a read of 125 registers costs libmodbus: `PORT CONNECTIONS SECONDS` -> "reads user+sys microseconds".
 * The prototypes stand here so that the library alone is needed, not its headers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

typedef struct _modbus modbus_t;
modbus_t *modbus_new_tcp(const char *host, int port);
int modbus_connect(modbus_t *link);
int modbus_set_slave(modbus_t *link, int unit);
int modbus_read_input_registers(modbus_t *link, int address, int count, uint16_t *registers);

enum { REGISTERS = 125, READS = 12, LINKS_MAX = 256 };

static double cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return 1e6 * (used.ru_utime.tv_sec + used.ru_stime.tv_sec) + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    static uint16_t image[LINKS_MAX][READS][REGISTERS];
    modbus_t *links[LINKS_MAX];
    int connections = atoi(words[2]);
    if (connections > LINKS_MAX) return 2;
    for (int n = 0; n < connections; n++) {
        links[n] = modbus_new_tcp("127.0.0.1", atoi(words[1]));
        if (!links[n] || modbus_connect(links[n]) || modbus_set_slave(links[n], 1)) return 1;
    }
    double before_us = cpu_us(), end_s = now_s() + atof(words[3]);
    long reads = 0;
    while (now_s() < end_s)
        for (int block = 0; block < READS; block++)
            for (int n = 0; n < connections; n++, reads++)
                if (modbus_read_input_registers(links[n], block * REGISTERS, REGISTERS, image[n][block]) != REGISTERS)
                    return 1;
    printf("%ld %.0f\n", reads, cpu_us() - before_us);
    return 0;
}
