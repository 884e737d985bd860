# New TCP connections, one after the other, for some seconds of processor time; prints how many, how many for each of
# those seconds, and the median time that connect and accept took, in microseconds. Both ends are in this one process: a socket stays in the namespace that it was made in, so it listens
# in the server's, and then becomes a program in the client's. Nothing is scheduled between the ends, and what the
# kernel does for a packet is done on this process's account, which makes the figure a steady one.
#
# Perl, because it is there on every Debian, and a system call costs it a tenth of what it costs Node.
#
#     ip netns exec SERVER perl connections.pl CLIENT ADDRESS PORT SECONDS
use strict;
use warnings;
use Socket;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($client, $host, $port, $seconds, $descriptor) = @ARGV;

if (!defined $descriptor) {
    $^F = 255;    # descriptors up to this one outlive exec
    socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    bind($listener, sockaddr_in($port, INADDR_ANY)) or die "bind: $!";
    listen($listener, 16) or die "listen: $!";
    exec 'ip', 'netns', 'exec', $client, $^X, $0, @ARGV, fileno $listener;
}

sub cpu_seconds {
    open my $file, '<', '/proc/self/schedstat' or die "schedstat: $!";
    return (split ' ', <$file>)[0] / 1e9;
}

open my $listener, '+<&=', $descriptor or die "descriptor $descriptor: $!";
my $address = sockaddr_in($port, inet_aton($host));
my $reset   = pack 'll', 1, 0;                        # SO_LINGER: no TIME_WAIT
my ($count, $start, $deadline) = (0, cpu_seconds(), time + 10);
my $used    = 0;
my @times;
while ($used < $seconds && time < $deadline) {
    for (1 .. 200) {
        socket(my $near, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
        my $begin = clock_gettime(CLOCK_MONOTONIC);
        connect($near, $address) or die "connect: $!";
        accept(my $far, $listener) or die "accept: $!";
        push @times, clock_gettime(CLOCK_MONOTONIC) - $begin;
        setsockopt($near, SOL_SOCKET, SO_LINGER, $reset);
        close $near;
        close $far;
    }
    $count += 200;
    $used = cpu_seconds() - $start;
}
@times = sort { $a <=> $b } @times;
print $count, ' ', $count / $used, ' ', 1e6 * $times[@times / 2], "\n";
