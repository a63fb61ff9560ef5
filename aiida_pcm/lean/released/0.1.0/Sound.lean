prelude
import Check
/-! # Sound: what the checker accepts is valid
`check_sound` is the theorem that every certificate ends with. `blocks_exact` says that unpacking loses nothing. -/
set_option autoImplicit false
set_option linter.defProp false
noncomputable section

/-! ## The box and the blocks -/

theorem sides_sound : (box : List Range) → Eq (sides box) .true → Sides box
  | .nil, _ => .intro
  | .cons _ rs, h =>
    have side := Bool.and_left h
    have order := Bool.and_right side
    ⟨⟨Nat.le_of_ble (Bool.and_left side), Nat.le_of_ble (Bool.and_left order), Nat.le_of_ble (Bool.and_right order)⟩,
      sides_sound rs (Bool.and_right h)⟩

theorem fits_sound (b : Nat) : (t : Rows) → Eq (fits b t) .true → t.Fit b
  | .block _ _, h => Nat.le_of_ble h
  | .join l r, h => ⟨fits_sound b l (Bool.and_left h), fits_sound b r (Bool.and_right h)⟩

theorem length_digits (b : Nat) : (n x : Nat) → Eq (digits b n x).length n
  | .zero, _ => rfl
  | .succ n, x => congrArg Nat.succ (length_digits b n (x.div b))

theorem size_sound (b : Nat) : (t : Rows) → Eq (t.numbers b).length (size t)
  | .block n x => length_digits b n x
  | .join l r => (List.length_append (r.numbers b) (l.numbers b)).trans
      (congrTwo Nat.add (size_sound b l) (size_sound b r))

/-- The number with these digits. -/
def pack (b : Nat) : List Nat → Nat
  | .nil => 0
  | .cons x xs => ((pack b xs).mul b).add x

theorem div_lt_pow {b n x : Nat} (h : x.lt (b.pow n.succ)) : (x.div b).lt (b.pow n) :=
  match e : (x.div b).succ.ble (b.pow n) with
  | .true => Nat.le_of_ble e
  | .false =>
    have big : (b.pow n).le (x.div b) := Nat.le_of_succ_le_succ (Nat.lt_of_ble e)
    have back : ((x.div b).mul b).le x := ⟨x.mod b, Nat.div_add_mod x b⟩
    (Nat.not_le_of_lt h (Nat.le_trans (Nat.mul_le_mul_right b big) back)).elim

/-- **Blocks are exact**: the digits of a block that fits give its number back. -/
theorem blocks_exact (b : Nat) : (n x : Nat) → x.lt (b.pow n) → Eq (pack b (digits b n x)) x
  | .zero, _, h => (Nat.le_zero (Nat.le_of_succ_le_succ h)).symm
  | .succ n, x, h => (congrArg (fun y : Nat => (y.mul b).add (x.mod b)) (blocks_exact b n (x.div b) (div_lt_pow h))).trans
      (Nat.div_add_mod x b)

/-! ## Counting -/

theorem wordsInBox_sound : (box : List Range) → (x : Nat) →
    Eq (wordsInBox box x) (inBox box (digits wordBase box.length x))
  | .nil, _ => rfl
  | .cons r rs, x => congrArg
      (fun b : Bool => ((r.lo.ble (x.mod wordBase)).and ((x.mod wordBase).ble r.hi)).and b)
      (wordsInBox_sound rs (x.div wordBase))

theorem isInside_sound (box : List Range) (x : Nat) :
    Eq (isInside box x) (inBox box (Row.ofNumber box.length x).features) :=
  wordsInBox_sound box (x.div featureBase)

theorem count_append (p : Row → Bool) (ys : List Row) :
    (xs : List Row) → Eq (count p (xs.append ys)) ((count p xs).add (count p ys))
  | .nil => (Nat.zero_add _).symm
  | .cons x xs => (congrArg (fun n : Nat => n.add ((p x).pick 1 0)) (count_append p ys xs)).trans
      (Nat.add_right_comm (count p xs) (count p ys) ((p x).pick 1 0))

theorem countBlock_sound {p : Nat → Bool} {q : Row → Bool} {f : Nat → Row} (b : Nat)
    (h : (x : Nat) → Eq (p x) (q (f x))) :
    (n x : Nat) → Eq (countBlock p b n x) (count q ((digits b n x).map f))
  | .zero, _ => rfl
  | .succ n, x => congrTwo (fun (y : Nat) (z : Bool) => y.add (z.pick 1 0))
      (countBlock_sound b h n (x.div b)) (h (x.mod b))

theorem countRows_sound {p : Nat → Bool} {q : Row → Bool} {f : Nat → Row} (b : Nat)
    (h : (x : Nat) → Eq (p x) (q (f x))) : (t : Rows) → Eq (countRows p b t) (count q ((t.numbers b).map f))
  | .block n x => countBlock_sound b h n x
  | .join l r => (congrTwo Nat.add (countRows_sound b h l) (countRows_sound b h r)).trans
      ((count_append q ((r.numbers b).map f) ((l.numbers b).map f)).symm.trans
        (congrArg (count q) (List.map_append f (r.numbers b) (l.numbers b)).symm))

/-! ## Groups -/

/-- Do the numbers ascend strictly from `low` on, and does `rest` agree with what follows? -/
def ascend (rest : Nat → Bool) : List Nat → Nat → Bool
  | .nil, low => rest low
  | .cons x xs, low => (low.ble x).and (ascend rest xs x.succ)

theorem ascend_congr {f g : Nat → Bool} (h : (low : Nat) → Eq (f low) (g low)) :
    (xs : List Nat) → (low : Nat) → Eq (ascend f xs low) (ascend g xs low)
  | .nil, low => h low
  | .cons x xs, low => congrArg (Bool.and (low.ble x)) (ascend_congr h xs x.succ)

theorem ascend_append (rest : Nat → Bool) (ys : List Nat) :
    (xs : List Nat) → (low : Nat) → Eq (ascend (ascend rest ys) xs low) (ascend rest (xs.append ys) low)
  | .nil, _ => rfl
  | .cons x xs, low => congrArg (Bool.and (low.ble x)) (ascend_append rest ys xs x.succ)

theorem ascendBlock_sound (b : Nat) (rest : Nat → Bool) : (n x low : Nat) →
    Eq (ascendBlock b rest n x low) (ascend rest ((digits b n x).map (fun y : Nat => y.mod groupBase)) low)
  | .zero, _, _ => rfl
  | .succ n, x, low => congrArg (Bool.and (low.ble ((x.mod b).mod groupBase)))
      (ascendBlock_sound b rest n (x.div b) ((x.mod b).mod groupBase).succ)

theorem ascendRows_sound (b : Nat) : (t : Rows) → (rest : Nat → Bool) → (low : Nat) →
    Eq (ascendRows b t rest low) (ascend rest ((t.numbers b).map (fun y : Nat => y.mod groupBase)) low)
  | .block n x, rest, low => ascendBlock_sound b rest n x low
  | .join l r, rest, low => (ascendRows_sound b l (ascendRows b r rest) low).trans
      ((ascend_congr (ascendRows_sound b r rest) _ low).trans
        ((ascend_append rest ((r.numbers b).map (fun y : Nat => y.mod groupBase))
            ((l.numbers b).map (fun y : Nat => y.mod groupBase)) low).trans
          (congrArg (fun xs : List Nat => ascend rest xs low)
            (List.map_append (fun y : Nat => y.mod groupBase) (r.numbers b) (l.numbers b)).symm)))

theorem ascend_absent (rest : Nat → Bool) {y : Nat} : (xs : List Nat) → (low : Nat) → y.lt low →
    Eq (ascend rest xs low) .true → Absent y xs
  | .nil, _, _, _ => .intro
  | .cons x xs, _, less, h =>
    have lessX : y.lt x := Nat.le_trans less (Nat.le_of_ble (Bool.and_left h))
    ⟨Nat.lt_ne lessX, ascend_absent rest xs x.succ (Nat.le_trans lessX (Nat.le_succ x)) (Bool.and_right h)⟩

theorem ascend_distinct (rest : Nat → Bool) : (xs : List Nat) → (low : Nat) →
    Eq (ascend rest xs low) .true → Distinct xs
  | .nil, _, _ => .intro
  | .cons x xs, _, h =>
    ⟨ascend_absent rest xs x.succ (Nat.le_refl x.succ) (Bool.and_right h),
      ascend_distinct rest xs x.succ (Bool.and_right h)⟩

theorem map_group (m : Nat) : (xs : List Nat) →
    Eq (xs.map (fun y : Nat => y.mod groupBase)) ((xs.map (Row.ofNumber m)).map Row.group)
  | .nil => rfl
  | .cons x xs => congrArg (List.cons (x.mod groupBase)) (map_group m xs)

theorem groups_sound (c : Certificate)
    (h : Eq (ascendRows c.rowBase c.rows (fun _ => .true) 0) .true) :
    Distinct (c.table.map Row.group) :=
  Eq.subst (motive := Distinct) (map_group c.box.length (c.rows.numbers c.rowBase))
    (ascend_distinct (fun _ => .true) _ 0 ((ascendRows_sound c.rowBase c.rows (fun _ => .true) 0).symm.trans h))

/-! ## Pascal's triangle -/

theorem zero_sub : (a : Nat) → Eq (Nat.zero.sub a) .zero
  | .zero => rfl
  | .succ a => congrArg Nat.pred (zero_sub a)

theorem succ_sub_succ (n : Nat) : (j : Nat) → Eq (n.succ.sub j.succ) (n.sub j)
  | .zero => rfl
  | .succ j => congrArg Nat.pred (succ_sub_succ n j)

theorem sub_le (n : Nat) : (j : Nat) → (n.sub j).le n
  | .zero => Nat.le_refl n
  | .succ j => Nat.le_trans (pred_le (n.sub j)) (sub_le n j)
where
  pred_le : (a : Nat) → a.pred.le a
    | .zero => Nat.le_refl .zero
    | .succ a => Nat.le_succ a

theorem sub_split : (n j : Nat) → j.lt n → Eq (n.sub j) (n.sub j.succ).succ
  | .zero, _, h => (Nat.not_succ_le_zero h).elim
  | .succ _, .zero, _ => rfl
  | .succ n, .succ j, h => (succ_sub_succ n j).trans
      ((sub_split n j (Nat.le_of_succ_le_succ h)).trans (congrArg Nat.succ (succ_sub_succ n j.succ).symm))

theorem choose_zero : (n : Nat) → Eq (choose n .zero) 1
  | .zero => rfl
  | .succ _ => rfl

theorem choose_beyond : (n j : Nat) → Eq (n.sub j) .zero → Eq (choose n j.succ) .zero
  | .zero, _, _ => rfl
  | .succ _, .zero, h => (Nat.succ_ne_zero h).elim
  | .succ n, .succ j, h =>
    have less : Eq (n.sub j) .zero := (succ_sub_succ n j).symm.trans h
    congrTwo Nat.add (choose_beyond n j less) (choose_beyond n j.succ (congrArg Nat.pred less))

theorem choose_shift (a j : Nat) : (x : Nat) → (Eq x .zero → Eq a .zero) →
    Eq (a.mul (j.succ.succ.add x.pred)) (a.mul (j.succ.add x))
  | .zero, h =>
    have none := h rfl
    (congrArg (fun y : Nat => y.mul j.succ.succ) none).trans ((Nat.zero_mul j.succ.succ).trans
      ((Nat.zero_mul j.succ).symm.trans (congrArg (fun y : Nat => y.mul j.succ) none.symm)))
  | .succ y, _ => congrArg a.mul (Nat.succ_add j.succ y)

/-- The next binomial coefficient from the one before. -/
theorem choose_ratio : (n j : Nat) → Eq ((choose n j.succ).mul j.succ) ((choose n j).mul (n.sub j))
  | .zero, j => (Nat.zero_mul j.succ).trans (congrArg (choose .zero j).mul (zero_sub j)).symm
  | .succ n, .zero =>
    have one : Eq (choose n 1) n := (Nat.mul_one _).symm.trans ((choose_ratio n .zero).trans
      ((congrArg (fun y : Nat => y.mul n) (choose_zero n)).trans (Nat.one_mul n)))
    (Nat.mul_one _).trans ((congrTwo Nat.add (choose_zero n) one).trans
      ((Nat.add_comm 1 n).trans (Nat.one_mul n.succ).symm))
  | .succ n, .succ j =>
    have left : Eq ((choose n.succ j.succ.succ).mul j.succ.succ)
        ((choose n j.succ).mul (j.succ.succ.add (n.sub j).pred)) :=
      (Nat.add_mul (choose n j.succ) (choose n j.succ.succ) j.succ.succ).trans
        ((congrArg ((choose n j.succ).mul j.succ.succ).add (choose_ratio n j.succ)).trans
          (Nat.mul_add (choose n j.succ) j.succ.succ (n.sub j.succ)).symm)
    have right : Eq ((choose n.succ j.succ).mul (n.succ.sub j.succ))
        ((choose n j.succ).mul (j.succ.add (n.sub j))) :=
      (congrArg (choose n.succ j.succ).mul (succ_sub_succ n j)).trans
        ((Nat.add_mul (choose n j) (choose n j.succ) (n.sub j)).trans
          ((congrArg (fun y : Nat => y.add ((choose n j.succ).mul (n.sub j))) (choose_ratio n j).symm).trans
            (Nat.mul_add (choose n j.succ) j.succ (n.sub j)).symm))
    left.trans ((choose_shift (choose n j.succ) j (n.sub j) (choose_beyond n j)).trans right.symm)

/-! ## The binomial tail -/

theorem next_term (n p j term : Nat) (h : Eq term ((choose n j).mul (p.pow j))) :
    Eq (((term.mul (n.sub j)).mul p).div j.succ) ((choose n j.succ).mul (p.pow j.succ)) :=
  have order : Eq ((((choose n j).mul (p.pow j)).mul (n.sub j)).mul p)
      (((choose n j.succ).mul (p.pow j.succ)).mul j.succ) :=
    (congrArg (fun y : Nat => y.mul p)
      ((Nat.mul_right_comm (choose n j) (p.pow j) (n.sub j)).trans
        ((congrArg (fun y : Nat => y.mul (p.pow j)) (choose_ratio n j).symm).trans
          (Nat.mul_right_comm (choose n j.succ) j.succ (p.pow j))))).trans
      ((Nat.mul_right_comm ((choose n j.succ).mul (p.pow j)) j.succ p).trans
        (congrArg (fun y : Nat => y.mul j.succ) (Nat.mul_assoc (choose n j.succ) (p.pow j) p)))
  (congrArg (fun y : Nat => ((y.mul (n.sub j)).mul p).div j.succ) h).trans
    ((congrArg (fun y : Nat => y.div j.succ) order).trans
      (Nat.mul_div_cancel ((choose n j.succ).mul (p.pow j.succ)) (Nat.succ_le_succ (Nat.zero_le j))))

theorem next_sum (n p d j sum next : Nat) (less : j.lt n)
    (hn : Eq next ((choose n j.succ).mul (p.pow j.succ)))
    (hs : Eq (tail n p d j) (sum.mul ((d.sub p).pow (n.sub j)))) :
    Eq (tail n p d j.succ) (((sum.mul (d.sub p)).add next).mul ((d.sub p).pow (n.sub j.succ))) :=
  have split : Eq (sum.mul ((d.sub p).pow (n.sub j)))
      ((sum.mul (d.sub p)).mul ((d.sub p).pow (n.sub j.succ))) :=
    (congrArg (fun y : Nat => sum.mul ((d.sub p).pow y)) (sub_split n j less)).trans
      ((Nat.mul_assoc sum ((d.sub p).pow (n.sub j.succ)) (d.sub p)).symm.trans
        (Nat.mul_right_comm sum ((d.sub p).pow (n.sub j.succ)) (d.sub p)))
  (congrTwo Nat.add (hs.trans split)
    (congrArg (fun y : Nat => y.mul ((d.sub p).pow (n.sub j.succ))) hn.symm)).trans
    (Nat.add_mul (sum.mul (d.sub p)) next ((d.sub p).pow (n.sub j.succ))).symm

theorem tailLoop_sound (n p d : Nat) : (steps j term sum : Nat) → (j.add steps).le n →
    Eq term ((choose n j).mul (p.pow j)) → Eq (tail n p d j) (sum.mul ((d.sub p).pow (n.sub j))) →
    Eq (tail n p d (j.add steps))
      ((tailLoop n p (d.sub p) steps j term sum).mul ((d.sub p).pow (n.sub (j.add steps))))
  | .zero, _, _, _, _, _, hs => hs
  | .succ steps, j, term, sum, h, ht, hs =>
    have shift : Eq (j.succ.add steps) (j.add steps.succ) := Nat.succ_add j steps
    have room : (j.succ.add steps).le n := Nat.le_trans (Nat.le_of_eq shift) h
    have less : j.lt n := Nat.le_trans ⟨steps, rfl⟩ room
    have hn := next_term n p j term ht
    Eq.subst (motive := fun y : Nat => Eq (tail n p d y)
        ((tailLoop n p (d.sub p) steps.succ j term sum).mul ((d.sub p).pow (n.sub y)))) shift
      (tailLoop_sound n p d steps j.succ _ _ room hn (next_sum n p d j sum _ less hn hs))

/-- **Horner's rule gives the binomial tail.** -/
theorem tail_horner (n p d k : Nat) (h : k.le n) :
    Eq (tail n p d k) ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub k))) :=
  Eq.subst (motive := fun y : Nat => Eq (tail n p d y)
      ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub y)))) (Nat.zero_add k)
    (tailLoop_sound n p d k .zero 1 1 (Nat.le_trans (Nat.le_of_eq (Nat.zero_add k)) h)
      (congrArg (fun y : Nat => y.mul 1) (choose_zero n)).symm (Nat.one_mul _).symm)

theorem bounds_sound {a b n k d p : Nat} (h : k.le n) (e : Eq (bounds a b n k d p) .true) : Bounds a b n k d p :=
  Nat.le_trans (Nat.le_of_eq (congrArg b.mul (tail_horner n p d k h))) (Nat.le_of_ble e)

theorem not_bounds_sound {a b n k d p : Nat} (h : k.le n) (e : Eq (bounds a b n k d p) .false) :
    Not (Bounds a b n k d p) := fun holds =>
  Nat.not_le_of_lt (Nat.lt_of_ble e)
    (Nat.le_trans (Nat.le_of_eq (congrArg b.mul (tail_horner n p d k h)).symm) holds)

/-! ## The smallest n -/

theorem enough_step {a b p d n : Nat} (h : Enough a b p d n) : Enough a b p d n.succ :=
  Nat.le_trans (Nat.le_of_eq (Nat.mul_assoc b ((d.sub p).pow n) (d.sub p)).symm)
    (Nat.le_trans (Nat.mul_le_mul_right (d.sub p) h)
      (Nat.le_trans (Nat.mul_le_mul_left (a.mul (d.pow n)) (sub_le d p)) (Nat.le_of_eq (Nat.mul_assoc a (d.pow n) d))))

theorem enough_more {a b p d n : Nat} (h : Enough a b p d n) : (e : Nat) → Enough a b p d (n.add e)
  | .zero => h
  | .succ e => enough_step (enough_more h e)

theorem notBefore_sound (a b p d : Nat) : (m : Nat) → Eq (notBefore a b p d m) .true →
    (n : Nat) → n.lt m → Not (Enough a b p d n)
  | .zero, _, _, less => fun _ => Nat.not_succ_le_zero less
  | .succ _, h, _, less => fun holds =>
    match Nat.le_of_succ_le_succ less with
    | ⟨e, sum⟩ => Nat.not_le_of_lt (Nat.lt_of_ble (Bool.not_true h))
        (Eq.subst (motive := Enough a b p d) sum (enough_more holds e))

/-! ## The whole -/

theorem sameVerdict_sound : (v w : Verdict) → Eq (sameVerdict v w) .true → Eq v w
  | .certified, .certified, _ => rfl
  | .consistent, .consistent, _ => rfl
  | .refused, .refused, _ => rfl
  | .certified, .consistent, h => (Bool.false_ne_true h).elim
  | .certified, .refused, h => (Bool.false_ne_true h).elim
  | .consistent, .certified, h => (Bool.false_ne_true h).elim
  | .consistent, .refused, h => (Bool.false_ne_true h).elim
  | .refused, .certified, h => (Bool.false_ne_true h).elim
  | .refused, .consistent, h => (Bool.false_ne_true h).elim

/-- The three fields of `Valid` about the bound. -/
structure BoundRight (c : Certificate) : Prop where
  whole : Eq c.failed c.inside → Eq c.boundNum c.boundDen
  upper : Not (Eq c.failed c.inside) → Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum
  least : Not (Eq c.failed c.inside) → Or (Eq c.boundNum 0)
    (Not (Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum.pred))

theorem boundRight_sound (c : Certificate) (h : Eq (boundRight c) .true) : BoundRight c :=
  match e : c.failed.beq c.inside with
  | .true =>
    have whole := Eq.subst (motive := fun b : Bool => Eq (b.pick (c.boundNum.beq c.boundDen) _) .true) e h
    have same := Nat.eq_of_beq e
    ⟨fun _ => Nat.eq_of_beq whole, fun n => (n same).elim, fun n => (n same).elim⟩
  | .false =>
    have rest := Eq.subst (motive := fun b : Bool => Eq (b.pick (c.boundNum.beq c.boundDen) _) .true) e h
    have few := Nat.le_of_ble (Bool.and_left rest)
    have both := Bool.and_right rest
    ⟨fun same => (Nat.ne_of_beq e same).elim, fun _ => bounds_sound few (Bool.and_left both),
      fun _ => match Bool.or_split (Bool.and_right both) with
        | .inl zero => .inl (Nat.eq_of_beq zero)
        | .inr no => .inr (not_bounds_sound few (Bool.not_true no))⟩

theorem count_inside (c : Certificate) :
    Eq (countRows (isInside c.box) c.rowBase c.rows) (count (fun r => inBox c.box r.features) c.table) :=
  countRows_sound (p := isInside c.box) (q := fun r : Row => inBox c.box r.features)
    (f := Row.ofNumber c.box.length) c.rowBase (isInside_sound c.box) c.rows

/-- The checker looks first for what is quick to see, the claim names the box first. -/
theorem swap_and (a : Bool) {b c : Bool} (h : Eq b c) : Eq (a.and b) (c.and a) :=
  (congrArg a.and h).trans (Bool.and_comm a c)

theorem count_failed (c : Certificate) :
    Eq (countRows (fun x => (isFailed c.tolerance c.noise x).and (isInside c.box x)) c.rowBase c.rows)
      (count (fun r => (inBox c.box r.features).and (r.fails c.tolerance c.noise)) c.table) :=
  countRows_sound (p := fun x : Nat => (isFailed c.tolerance c.noise x).and (isInside c.box x))
    (q := fun r : Row => (inBox c.box r.features).and (r.fails c.tolerance c.noise)) (f := Row.ofNumber c.box.length)
    c.rowBase (fun x => swap_and (isFailed c.tolerance c.noise x) (isInside_sound c.box x)) c.rows

theorem count_unknown (c : Certificate) :
    Eq (countRows (fun x => (isUnknown x).and (isInside c.box x)) c.rowBase c.rows)
      (count (fun r => (inBox c.box r.features).and r.unknown) c.table) :=
  countRows_sound (p := fun x : Nat => (isUnknown x).and (isInside c.box x))
    (q := fun r : Row => (inBox c.box r.features).and r.unknown) (f := Row.ofNumber c.box.length)
    c.rowBase (fun x => swap_and (isUnknown x) (isInside_sound c.box x)) c.rows

/-- **Soundness**: a certificate that the checker accepts is valid. -/
theorem check_sound (c : Certificate) (h : Eq (check c) .true) : Valid c :=
  have numbers := Bool.and_left h
  have shape := Bool.and_left numbers
  have n1 := Bool.and_right numbers
  have alpha := Bool.and_left n1
  have n2 := Bool.and_right n1
  have fraction := Bool.and_left n2
  have n3 := Bool.and_right n2
  have requested := Bool.and_left n3
  have n4 := Bool.and_right n3
  have smallest := Bool.and_left n4
  have n5 := Bool.and_right n4
  have bound := boundRight_sound c (Bool.and_right n5)
  have rows := Bool.and_right h
  have r1 := Bool.and_right rows
  have r2 := Bool.and_right r1
  have r3 := Bool.and_right r2
  have r4 := Bool.and_right r3
  { box := ⟨Nat.le_of_ble (Bool.and_left (Bool.and_left shape)), sides_sound c.box (Bool.and_right (Bool.and_left shape))⟩
    fit := fits_sound c.rowBase c.rows (Bool.and_left rows)
    tolerance := Nat.le_of_ble (Bool.and_right shape)
    groups := groups_sound c (Bool.and_left r2)
    rowCount := (List.length_map (Row.ofNumber c.box.length) (c.rows.numbers c.rowBase)).trans
      ((size_sound c.rowBase c.rows).trans (Nat.eq_of_beq (Bool.and_left r1)))
    inside := (count_inside c).symm.trans (Nat.eq_of_beq (Bool.and_left r3))
    failed := (count_failed c).symm.trans (Nat.eq_of_beq (Bool.and_left r4))
    unknown := (count_unknown c).symm.trans (Nat.eq_of_beq (Bool.and_right r4))
    alpha := ⟨Nat.le_of_ble (Bool.and_left alpha), Nat.le_of_ble (Bool.and_left (Bool.and_right alpha)),
      Nat.eq_of_beq (Bool.and_right (Bool.and_right alpha))⟩
    bound := ⟨Nat.le_of_ble (Bool.and_left fraction), Nat.le_of_ble (Bool.and_right fraction), bound.whole⟩
    upper := bound.upper
    least := bound.least
    requested := ⟨Nat.le_of_ble (Bool.and_left requested), Nat.le_of_ble (Bool.and_right requested)⟩
    smallest := ⟨Nat.le_of_ble (Bool.and_left smallest), notBefore_sound _ _ _ _ c.smallest (Bool.and_right smallest)⟩
    verdict := sameVerdict_sound _ _ (Bool.and_left n5) }
