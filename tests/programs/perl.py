#!/usr/bin/env python3
"""perl: hashes, regular expressions, sorting, string building, fork and pipes."""
from pooled import Place, need

PROGRAM = r'''
use strict; use warnings;
my %count; my $seed = 42;
sub next_number { $seed = ($seed * 1103515245 + 12345) % 2147483648 }
for (1 .. 150_000) { $count{"word" . next_number() % 20_011} .= chr(97 + $_ % 26) }
my @sorted = sort { length $count{$b} <=> length $count{$a} || $a cmp $b } keys %count;
print "$_ $count{$_}\n" for @sorted[0 .. 99];
my $text = join " ", @sorted;
my $n = () = $text =~ /word(\d)\1/g;
(my $changed = $text) =~ s/(\d+)/<$1>/g;
printf "%d keys, %d doubled, %d bytes\n", scalar keys %count, $n, length $changed;
delete $count{$_} for grep { /[02468]$/ } @sorted;
print scalar(keys %count), " left\n";
for my $child (1 .. 5) {
	open my $pipe, "-|" or do { print join(",", map { $_ * $child } 1 .. 1000), "\n"; exit 0 };
	print length(join "", <$pipe>), "\n"; close $pipe;
}
my @deep = map { { name => $_, list => [map { { v => "$_" } } 1 .. 20] } } 1 .. 2000;
print scalar(@deep), " ", $deep[1999]{list}[19]{v}, "\n";
'''

perl = need("perl")
with Place() as place:
    place.same([perl, "-e", PROGRAM], env={"PERL_HASH_SEED": "0"})
