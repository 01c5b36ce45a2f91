"""Triggers of users that fire on what pull writes: what they change is sent, and nothing echoes."""

from eventually import eventually
from sync import account, contact


def define(sync, script):
    sync.database.psql(script, role="postgres")


def test_what_a_trigger_changes_in_an_inbound_row_is_sent_and_nothing_echoes(sync):
    """Before the row is written and after."""
    sync.load(account())
    define(
        sync,
        """create function public.tidy() returns trigger language plpgsql as
            $$ begin new.phone := regexp_replace(new.phone, '\\s', '', 'g'); return new; end $$;
        create trigger tidy before insert or update on salesforce.account
            for each row execute function public.tidy();
        create function public.classify() returns trigger language plpgsql as
            $$ begin
                update salesforce.account set industry = 'Energy' where id = new.id and industry is null;
                return null;
            end $$;
        create trigger classify after insert or update on salesforce.account
            for each row execute function public.classify();""",
    )
    acme = sync.org.create("Account", Name="Acme", Phone="1 2 3")
    eventually(lambda: sync.org.retrieve("Account", acme)["Phone"] == "123")
    eventually(lambda: sync.org.retrieve("Account", acme)["Industry"] == "Energy")
    sync.wait_for_polls(2)
    assert sync.query("select name, phone, industry from salesforce.account") == [
        ("Acme", "123", "Energy")
    ]
    # Only what the triggers changed.
    entries = sync.entries("\"values\"", "state <> 'IGNORE'")
    assert sorted(entries) == [('"industry"=>"Energy"',), ('"phone"=>"123"',)]

    sync.org.update("Account", acme, Phone="4 5")
    eventually(lambda: sync.org.retrieve("Account", acme)["Phone"] == "45")
    sync.wait_for_polls(3)
    assert len(sync.entries("id")) == 3
    assert sync.query("select phone from salesforce.account") == [("45",)]


def test_what_a_trigger_does_to_other_mapped_tables_is_sent(sync):
    sync.load(account(), contact())
    define(
        sync,
        """create function public.greet() returns trigger language plpgsql as
            $$ begin
                insert into salesforce.contact (lastname, external_id__c) values (new.name, 'C-' || new.id);
                return null;
            end $$;
        create trigger greet after insert on salesforce.account
            for each row execute function public.greet();""",
    )
    sync.org.create("Account", Name="Acme")
    eventually(lambda: [c["LastName"] for c in sync.org.query("select LastName from Contact")] == ["Acme"])
    sync.settled(1)
    sync.wait_for_polls(2)
    assert sync.query("select lastname, sfid is not null from salesforce.contact") == [("Acme", True)]
    assert sync.entries("table_name, action, state") == [("contact", "INSERT", "SUCCESS")]


def test_a_trigger_written_for_heroku_connect_that_switches_xmlbinary_goes_on_working(sync):
    sync.load(account(), contact())
    define(
        sync,
        """create function public.greet() returns trigger language plpgsql as
            $$
            declare
                before varchar := public.get_xmlbinary();
            begin
                set local xmlbinary to 'base64';
                insert into salesforce.contact (lastname) values (new.name);
                execute 'set local xmlbinary to ' || before;
                return new;
            end $$;
        create trigger greet after insert on salesforce.account
            for each row when (public.get_xmlbinary() in ('base64', 'hex')) execute function public.greet();""",
    )
    sync.org.create("Account", Name="Acme")
    eventually(lambda: sync.entries("table_name, action, state") == [("contact", "INSERT", "SUCCESS")])
    sync.query("set xmlbinary = 'hex'; insert into salesforce.account (name) values ('Bolt')")
    sync.settled(3)
    assert sorted(c["LastName"] for c in sync.org.query("select LastName from Contact")) == ["Acme", "Bolt"]


def test_a_deletion_from_salesforce_is_no_echo_and_what_its_trigger_deletes_is_sent(sync):
    acme = sync.org.create("Account", Name="Acme")
    sync.org.create("Contact", LastName="Coyote")
    sync.load(account(), contact())
    define(
        sync,
        """create function public.forget() returns trigger language plpgsql as
            $$ begin delete from salesforce.contact; return null; end $$;
        create trigger forget after delete on salesforce.account
            for each row execute function public.forget();""",
    )
    sync.org.remove("Account", acme)
    eventually(lambda: sync.org.query("select Id from Contact") == [])
    sync.settled(1)
    sync.wait_for_polls(2)
    assert sync.entries("table_name, action, state") == [("contact", "DELETE", "SUCCESS")]


def test_a_message_of_anybody_else_says_nothing(sync):
    """Anyone may write a message into the log; only pull's transactions are believed."""
    sync.map(account())
    sync.start("archive", "push")
    sync.query("insert into salesforce.account (name) values ('Acme')")
    sync.settled(1)
    sfid = sync.value("select sfid from salesforce.account")
    sync.query(
        "begin; select pg_logical_emit_message(true, 'pgforce.wrote',"
        f""" '["account", false, {{"sfid": "{sfid}", "name": "Bolt"}}]');"""
        " update salesforce.account set name = 'Bolt'; commit"
    )
    assert sync.settled(2)[1] == ("UPDATE", "SUCCESS")
    assert sync.org.retrieve("Account", sfid)["Name"] == "Bolt"


def test_what_a_trigger_does_that_is_made_while_a_poll_reads_is_sent(sync):
    sync.load(account(), contact())
    sync.roles["pull"].stop()
    sync.org.create("Account", Name="Acme")
    sync.org.fault({"match": {"path": "/queryAll"}, "delay_ms": 5000})
    sync.start("pull")
    # Taken: it has looked for triggers, and the answer waits.
    eventually(lambda: sync.org.faults() == [])
    define(
        sync,
        """create function public.greet() returns trigger language plpgsql as
            $$ begin insert into salesforce.contact (lastname) values (new.name); return null; end $$;
        create trigger greet after insert on salesforce.account
            for each row execute function public.greet();""",
    )
    eventually(lambda: [c["LastName"] for c in sync.org.query("select LastName from Contact")] == ["Acme"])
    sync.settled(1)
    assert sync.value("select count(*) from salesforce.contact") == 1


def test_what_a_trigger_changes_during_the_first_load_is_sent_too(sync):
    acme = sync.org.create("Account", Name="Acme", Phone="1 2 3")
    bolt = sync.org.create("Account", Name="Bolt", Phone="4")
    sync.map(account())
    define(
        sync,
        """create function public.tidy() returns trigger language plpgsql as
            $$ begin new.phone := regexp_replace(new.phone, '\\s', '', 'g'); return new; end $$;
        create trigger tidy before insert or update on salesforce.account
            for each row execute function public.tidy();""",
    )
    sync.start("archive", "push", "pull")
    sync.wait_until_loaded()
    eventually(lambda: sync.org.retrieve("Account", acme)["Phone"] == "123")
    sync.settled(1)
    sync.wait_for_polls(2)
    assert sync.entries('action, state, sfid, "values"') == [
        ("UPDATE", "SUCCESS", acme, '"phone"=>"123"')
    ]
    assert sync.query("select sfid, phone from salesforce.account order by name") == [(acme, "123"), (bolt, "4")]
