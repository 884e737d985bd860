/* Answers every packet of a queue: floor QUEUE CANDIDATE ANSWERED. A packet that came with the mark CANDIDATE goes on
   with the mark ANSWERED, any other one with none. */
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static unsigned int candidate, answered;

static int answer(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *data)
{
    (void) message;
    (void) data;
    unsigned int id = ntohl(nfq_get_msg_packet_hdr(packet)->packet_id);
    unsigned int mark = nfq_get_nfmark(packet) == candidate ? answered : 0;
    return nfq_set_verdict2(queue, id, NF_ACCEPT, mark, 0, NULL);
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    candidate = atoi(words[2]);
    answered = atoi(words[3]);
    struct nfq_handle *handle = nfq_open();
    if (!handle)
        return 1;
    struct nfq_q_handle *queue = nfq_create_queue(handle, atoi(words[1]), answer, NULL);
    if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, 512) < 0)
        return 1;
    nfq_set_queue_maxlen(queue, 16384);
    int size = 64 * 1024 * 1024;
    setsockopt(nfq_fd(handle), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    puts("listening");
    fflush(stdout);
    static char buffer[65536];
    for (;;) {
        int length = recv(nfq_fd(handle), buffer, sizeof buffer, 0);
        if (length > 0)
            nfq_handle_packet(handle, buffer, length);
    }
}
