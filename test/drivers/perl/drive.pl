# DBD::Pg through the gate. usage: drive.pl PORT MODE; a line for each part, code 1 if one fails.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:pg_types :async);

my ($port, $mode) = @ARGV;
binmode STDOUT, ':utf8';

sub database {
	my %more = @_;
	return DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;dbname=app", 'app', $ENV{PGPASSWORD} // '',
		{ AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0, pg_enable_utf8 => 1, %more });
}

sub equal {
	my ($got, $expected) = @_;
	$_ //= 'undef' for $got, $expected;
	die "got '$got' instead of '$expected'\n" if $got ne $expected;
}

# Asserts that the code fails with this SQLSTATE.
sub refused {
	my ($d, $sqlstate, $code) = @_;
	my $went = eval { $code->(); 1 };
	die "no error, where $sqlstate was expected\n" if $went;
	equal($d->state, $sqlstate);
}

sub one { my ($d, $sql, @values) = @_; return ($d->selectrow_array($sql, undef, @values))[0]; }

my @parts = (
	'transactions' => sub {
		my ($a, $b) = (database(AutoCommit => 0), database());
		$a->do("insert into items values (?, ?)", undef, 1, 'lost');
		equal(one($b, 'select count(*) from items'), 0);
		$a->rollback;
		$a->do("insert into items values (?, ?)", undef, 2, 'kept');
		$a->pg_savepoint('one');
		refused($a, '23505', sub { $a->do("insert into items values (2, 'again')") });
		refused($a, '25P02', sub { $a->do('select 1') });
		$a->pg_rollback_to('one');
		$a->commit;
		equal(one($b, 'select s from items'), 'kept');
		$a->rollback;
		$_->disconnect for $a, $b;
	},

	'prepared statements' => sub {
		my @clients = map { database() } 1 .. 6;
		my @held = map { $clients[$_]->prepare("select ?::int + $_") } 0 .. 5;
		for my $turn (1 .. 20) {
			for my $n (0 .. 5) {
				$held[$n]->execute($turn);
				equal($held[$n]->fetchrow_array, $turn + $n);
				my $s = $clients[$n]->prepare("select ?::text || '$n'");  # and gone again, by DEALLOCATE
				$s->execute("$turn/");
				equal($s->fetchrow_array, "$turn/$n");
				$s->finish;
				refused($clients[$n], '22012', sub { one($clients[$n], 'select 1 / ?::int', 0) }) if $turn % 7 == 3;
			}
		}
		undef @held;
		$_->disconnect for @clients;
	},

	'copy' => sub {
		my ($a, $b) = (database(), database());
		$a->do('copy items from stdin');
		$a->pg_putcopydata("$_\t" . 'é' x ($_ % 50) . "\n") for 1 .. 10_000;
		$a->pg_putcopyend;
		equal(one($b, 'select count(*) from items'), 10_000);
		$a->do('copy (select * from items order by i) to stdout');
		my ($line, $seen) = ('', 0);
		while ($a->pg_getcopydata($line) >= 0) {
			$seen++;
			chomp $line;
			equal($line, "$seen\t" . 'é' x ($seen % 50));
		}
		equal($seen, 10_000);
		$a->do('copy items from stdin');
		$a->pg_putcopydata("1\tagain\n");
		refused($a, '23505', sub { $a->pg_putcopyend });
		equal(one($a, 'select count(*) from items'), 10_000);
		$_->disconnect for $a, $b;
	},

	'cursors' => sub {
		my ($a, $b) = (database(AutoCommit => 0), database());
		$a->do('declare mine scroll cursor for select generate_series(1, 1000)');
		for my $turn (0 .. 9) {
			my $rows = $a->selectcol_arrayref('fetch 100 from mine');
			equal($rows->[99], $turn * 100 + 100);
			equal(one($b, 'select 5'), 5);
		}
		$a->rollback;
		$_->disconnect for $a, $b;
	},

	'large objects' => sub {
		my ($a, $b) = (database(AutoCommit => 0), database(AutoCommit => 0));
		my $data = join '', map { chr($_ * 7 % 256) } 1 .. 500_000;
		my $oid = $a->pg_lo_creat($a->{pg_INV_READ} | $a->{pg_INV_WRITE});
		my $fd = $a->pg_lo_open($oid, $a->{pg_INV_WRITE});
		equal($a->pg_lo_write($fd, $data, length $data), length $data);
		$a->pg_lo_close($fd);
		$a->commit;
		$fd = $b->pg_lo_open($oid, $b->{pg_INV_READ});
		my $back = '';
		equal($b->pg_lo_read($fd, $back, length $data), length $data);
		die "another content\n" if $back ne $data;
		$b->pg_lo_close($fd);
		$b->rollback;
		$a->pg_lo_unlink($oid);
		$a->commit;
		$_->disconnect for $a, $b;
	},

	'asynchronous queries and cancel' => sub {
		my ($a, $b) = (database(), database());
		$a->do('select 7 from pg_sleep(0.05)', { pg_async => PG_ASYNC });
		equal(one($b, 'select 5'), 5);
		equal($a->pg_result, 1);
		# PostgreSQL drops a cancel request that overtakes its query, on a direct connection, too.
		my $slow = "select pg_sleep(600) /* $$ */";
		$a->do($slow, { pg_async => PG_ASYNC });
		until (one($b, "select count(*) from pg_stat_activity where state = 'active' and query = ?", $slow)) { }
		$a->pg_cancel;
		equal(one($a, 'select 6'), 6);
		$_->disconnect for $a, $b;
	},

	'notices and errors' => sub {
		my $a = database(PrintWarn => 1);
		my @seen;
		local $SIG{__WARN__} = sub { push @seen, @_ };
		$a->do(q{do $$ begin raise notice 'one'; raise warning 'two'; end $$});
		equal(join('', @seen) =~ /NOTICE:  one.*WARNING:  two/s, 1);
		refused($a, '23505', sub { $a->do("insert into items values (1, 'a'), (1, 'b')") });
		equal($a->pg_error_field('constraint'), 'items_pkey');
		equal($a->ping > 0, 1);
		$a->disconnect;
	},

	'types' => sub {
		my $a = database();
		equal(one($a, 'select ?::text', "é€😀'\\"), "é€😀'\\");
		equal(one($a, 'select ?::numeric', '1.2345678901234567890'), '1.2345678901234567890');
		equal(join(',', map { $_ // 'null' } @{ one($a, 'select ?::int[]', [1, undef, 3]) }), '1,null,3');
		my $s = $a->prepare('select ?::bytea');
		$s->bind_param(1, join('', map { chr } 0 .. 255), { pg_type => PG_BYTEA });
		$s->execute;
		equal($s->fetchrow_array, join('', map { chr } 0 .. 255));
		$s->finish;
		equal(length one($a, 'select repeat(?, 20000000)', 'x'), 20_000_000);
		equal(join(' ', $a->tables(undef, 'public', 'items')), 'public.items');
		$a->disconnect;
	},

	'settings' => sub {
		my @clients = map {
			local $ENV{PGOPTIONS} = "-c work_mem=" . (100 + $_) . "kB";
			local $ENV{PGAPPNAME} = "perl $_";
			local $ENV{PGTZ} = $_ % 2 ? 'Asia/Tokyo' : 'Europe/Zurich';
			database();
		} 0 .. 5;
		for my $turn (1 .. 10) {
			for my $n (0 .. 5) {
				equal(one($clients[$n], 'show work_mem'), (100 + $n) . 'kB');
				equal(one($clients[$n], 'show application_name'), "perl $n");
				equal(one($clients[$n], 'show timezone'), $n % 2 ? 'Asia/Tokyo' : 'Europe/Zurich');
			}
		}
		$_->disconnect for @clients;
	},
);

push @parts, 'listen and notify' => sub {
	my ($a, $b) = (database(), database());
	$a->do('listen news');
	$b->do("select pg_notify('news', 'hello')");
	my $heard;
	until ($heard = $a->pg_notifies) { select undef, undef, undef, 0.01 }
	equal($heard->[2], 'hello');
	$_->disconnect for $a, $b;
} if $mode eq 'session';

# A warning is a failure too: the driver gives errors of its own cleaning up as warnings.
my ($failed, @warnings) = 0;
$SIG{__WARN__} = sub { push @warnings, @_ };
while (my ($name, $part) = splice @parts, 0, 2) {
	my $d = database();
	$d->do('truncate items');
	$d->disconnect;
	@warnings = ();
	if (eval { $part->(); die @warnings if @warnings; 1 }) {
		print "ok $name\n";
	} else {
		print "not ok $name: $@\n";
		$failed = 1;
	}
}
print "done\n";
exit $failed;
