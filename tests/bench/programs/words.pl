# Hashes, arrays and regular expressions in Perl.
use strict;
use warnings;
use integer;

my $scale = shift;
my $state = 5;

sub random {
	my $limit = shift;
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return $state / 65536 % $limit;
}

for (1 .. 3) {
	my (%count, @lines);
	for my $n (0 .. 60000 * $scale / 100) {
		my $line = join ' ', map { 'word' . random(3000) } 1 .. 8;
		$count{$_}++ for split / /, $line;
		$line =~ s/word(\d)(\d*)/$2$1/g;
		push @lines, { text => $line, n => $n };
	}
	my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
	my @sorted = sort { $a->{text} cmp $b->{text} || $a->{n} <=> $b->{n} } @lines;
	print "@top[0 .. 2] $sorted[0]{text} $sorted[-1]{n}\n";
}
