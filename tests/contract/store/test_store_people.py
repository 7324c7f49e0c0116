"""Users, sign-ins, API keys and the audit log."""

from dataclasses import replace

from warmline.ports import ApiKey, AuditEntry, Role, SignIn, Store, User

ADA = User(id="u1", name="ada@example.org", role=Role.ADMIN, password="hash", created_at=5)


async def test_the_first_user_is_added_once(store: Store) -> None:
    assert await store.users() == []
    assert await store.add_user(ADA, only_first=True)
    assert not await store.add_user(replace(ADA, id="u2", name="eve@example.org"), only_first=True)
    assert await store.users() == [ADA]


async def test_a_name_belongs_to_one_user(store: Store) -> None:
    assert await store.add_user(ADA)
    assert not await store.add_user(replace(ADA, id="u2"))
    bob = User(id="u2", name="bob@example.org", role=Role.VIEWER, password="x", projects=("p1", "p2"), created_at=6)
    assert await store.add_user(bob)
    assert await store.users() == [ADA, bob]


async def test_a_user_is_changed_and_deleted_with_their_sign_ins(store: Store) -> None:
    await store.add_user(ADA)
    changed = replace(ADA, role=Role.EDITOR, password="new", projects=("p1",))
    assert await store.change_user(changed)
    assert not await store.change_user(replace(changed, id="nobody"))
    await store.save_sign_in(SignIn(id="s1", user_id="u1", created_at=1, seen_at=1))
    found = await store.signed_in("s1")
    assert found is not None
    assert found[1] == changed
    await store.delete_user("u1")
    assert await store.users() == []
    assert await store.signed_in("s1") is None


async def test_sign_ins_end_by_id_by_user_and_by_age(store: Store) -> None:
    await store.add_user(ADA)
    await store.add_user(replace(ADA, id="u2", name="bob@example.org"))
    for number, user in enumerate(["u1", "u1", "u2", "u2"]):
        await store.save_sign_in(SignIn(id=f"s{number}", user_id=user, created_at=1, seen_at=number))
    await store.save_sign_in(SignIn(id="s0", user_id="u1", created_at=1, seen_at=50))
    await store.end_sign_ins(seen_before=2)
    assert [await store.signed_in(f"s{n}") is not None for n in range(4)] == [True, False, True, True]
    await store.end_sign_ins(sign_in_id="s2")
    await store.end_sign_ins(user_id="u1")
    assert [await store.signed_in(f"s{n}") is not None for n in range(4)] == [False, False, False, True]


async def test_the_audit_log_is_read_newest_first_and_in_pages(store: Store) -> None:
    for number in range(5):
        await store.record(AuditEntry(at=number, user_id="u1", user_name="ada", act="connect", subject=f"c{number}"))
    first = await store.audit(limit=2)
    assert [entry.subject for entry in first] == ["c4", "c3"]
    rest = await store.audit(before=first[-1].id)
    assert [entry.subject for entry in rest] == ["c2", "c1", "c0"]


async def test_api_keys_are_found_by_their_hash_until_they_are_deleted(store: Store) -> None:
    crm = ApiKey(id="digest-1", name="crm", project_id="p1", created_at=7)
    shop = ApiKey(id="digest-2", name="shop", created_at=8)
    assert await store.add_api_key(shop)
    assert await store.add_api_key(crm)
    assert not await store.add_api_key(ApiKey(id="digest-3", name="crm"))
    assert await store.api_keys() == [crm, shop]
    assert await store.api_key("digest-1") == crm
    await store.delete_api_key("digest-1")
    assert await store.api_key("digest-1") is None
    assert await store.api_keys() == [shop]
    assert (crm.opens("p1"), crm.opens("p2"), shop.opens("p2")) == (True, False, True)
